//! What a read tells.

use super::*;

#[test]
fn a_document_is_read_byte_for_byte_with_how_its_entity_stands() {
    on_each_server(async |trial| {
        trial.set(JOURNEY, DOCUMENT).await;

        let free = trial.read(ask("u1")).await;
        let lease = trial.lease().await;
        let held = trial.read(ask("u1")).await;

        let Read::Document { bytes, fence, holder: None } = free else { panic!("{free:?}") };
        assert_eq!(bytes, DOCUMENT);
        let Read::Document { fence: other, holder: Some(owner), .. } = held else {
            panic!("{held:?}")
        };
        assert_eq!(Some(&*owner), lease.owner());
        assert_ne!(fence, other);
    });
}

#[test]
fn what_can_not_be_edited_is_named() {
    on_each_server(async |trial| {
        let missing = trial.read(ask("u1")).await;
        // As the cache of an ASP.NET app keeps it.
        trial
            .command(redis::cmd("HSET").arg(JOURNEY).arg("data").arg("{}").arg("absexp").arg(-1))
            .await;
        let hash = trial.read(ask("u1")).await;
        trial.set(JOURNEY, &[b' '; 1001]).await;
        let large = trial.read(ask("u1")).await;
        trial.set(JOURNEY, &[b' '; 1000]).await;
        let largest = trial.read(ask("u1")).await;

        assert_eq!(missing, Read::Missing { holder: None });
        assert_eq!(hash, Read::WrongType);
        assert_eq!(large, Read::TooLarge);
        assert!(matches!(largest, Read::Document { .. }), "{largest:?}");
    });
}

#[test]
fn an_update_that_was_applied_is_told_by_its_receipt_whatever_came_after() {
    on_each_server(async |trial| {
        trial.set(&receipt("u1"), "é".as_bytes()).await;
        trial.set(EPOCH, b"e2").await;

        assert_eq!(trial.read(ask("u1")).await, Read::Done("é".to_owned()));
        assert_eq!(trial.read(ask("u2")).await, Read::Replaced);
    });
}

#[test]
fn a_store_that_was_replaced_is_looked_at_once_the_gate_is_open_there() {
    on_store_thread(async {
        let server = TestServer::redis();
        let mut trial = Trial::at(server.config()).await;
        trial.set(EPOCH, b"e2").await;

        assert_eq!(trial.read(ask("u1")).await, Read::Replaced);
        assert!(trial.suspected.try_recv().is_err(), "the gate is not open there");
        let (generation, epoch) = (trial.place.generation, "e1".to_owned());
        let era = Arc::new(Era::at(Place { generation, epoch, cluster: false }));
        trial.place = Arc::clone(&era.place);
        Keeper::new(trial.documents.gate().clone()).turn(Standing::Open(era));
        assert_eq!(trial.read(ask("u1")).await, Read::Replaced);

        assert!(trial.suspected.try_recv().is_ok());
    });
}

#[test]
fn a_document_of_a_cluster_is_reached_in_its_entity_s_slot() {
    on_store_thread(async {
        let cluster = TestServer::cluster();
        let trial = Trial::at(cluster.config()).await;
        trial.set(JOURNEY, DOCUMENT).await;

        let edit = trial.planned("u1", &[(Anchor::Element, S1, S1_OFF)]).await;
        let made = trial.edit(&edit).await;
        let read = async |entity: &str, document: &str| {
            let ask = Ask { entity: entity.into(), document: document.into(), ..ask("u2") };
            trial.documents.read(&trial.place, ask).await
        };

        assert_eq!(made, Edited::Applied);
        assert_eq!(trial.get(JOURNEY).await.unwrap(), with(S1, S1_OFF));
        assert_eq!(read("journey:J1", "elsewhere").await, Ok(Read::OtherSlot));
        for id in ["J}1", "J{x}1", "}", "{}"] {
            assert_eq!(read(id, id).await, Ok(Read::OtherSlot), "{id}");
        }
        assert_eq!(read("J{1", "J{1").await, Ok(Read::Missing { holder: None }));
    });
}
