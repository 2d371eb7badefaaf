//! Each limit, kept to the tick.

use super::*;

const LIMITS: Limits = Limits {
    head: Duration::from_millis(100),
    body: Duration::from_millis(300),
    idle: Duration::from_millis(600),
};

fn watched() -> (Watches, Arc<Watch>) {
    let mut watches = Watches::new(LIMITS);
    watches.clock.set();
    let (_, watch) = watches.add();
    (watches, watch)
}

async fn after(watches: &Watches, millis: u64) {
    tokio::time::advance(Duration::from_millis(millis)).await;
    watches.sweep(false);
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_goes_after_the_idle_time() {
    let (watches, watch) = watched();

    after(&watches, 599).await;
    assert_eq!(watch.fate(), Fate::Live);
    after(&watches, 1).await;
    assert_eq!(watch.fate(), Fate::Idle);
}

#[tokio::test(start_paused = true)]
async fn trickling_bytes_of_a_head_don_t_buy_time() {
    let (watches, watch) = watched();

    watch.note_read(true);
    for _ in 0..4 {
        after(&watches, 24).await;
        watch.note_read(true);
    }
    assert_eq!(watch.fate(), Fate::Live);
    after(&watches, 4).await;
    assert_eq!(watch.fate(), Fate::SlowHead);
}

#[tokio::test(start_paused = true)]
async fn a_call_may_take_as_long_as_it_likes() {
    let (watches, watch) = watched();

    watch.set_busy(true);
    after(&watches, 10_000).await;
    assert_eq!(watch.fate(), Fate::Live);

    watch.set_busy(false);
    after(&watches, 599).await;
    assert_eq!(watch.fate(), Fate::Live, "idle time counts from the end of the call");
}

#[tokio::test(start_paused = true)]
async fn silence_inside_a_body_ends_it_even_in_a_call() {
    let (watches, watch) = watched();
    watch.set_busy(true);

    watch.wait_for_body(Some(Waker::noop()));
    after(&watches, 299).await;
    watch.wait_for_body(None);
    watch.wait_for_body(Some(Waker::noop()));
    after(&watches, 299).await;
    assert_eq!(watch.fate(), Fate::Live, "a frame in between starts the wait anew");
    after(&watches, 1).await;
    assert_eq!(watch.fate(), Fate::SilentBody);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_goes() {
    let (watches, watch) = watched();
    watch.set_busy(true);

    watch.note_write_stuck();
    after(&watches, 200).await;
    watch.note_write_stuck();
    after(&watches, 100).await;

    assert_eq!(watch.fate(), Fate::StuckWrite);
}

#[tokio::test(start_paused = true)]
async fn draining_keeps_a_quiet_connection_a_moment_and_a_tunnel_as_it_is() {
    let (mut watches, quiet) = watched();
    let (_, tunnel) = watches.add();
    tunnel.become_tunnel();

    tokio::time::advance(LAME_DUCK).await;
    watches.sweep(true);

    assert_eq!((quiet.fate(), tunnel.fate()), (Fate::Idle, Fate::Live));
}

#[tokio::test(start_paused = true)]
async fn a_lingering_connection_goes_once_its_client_is_silent() {
    let (watches, watch) = watched();
    watch.set_linger();
    assert!(watch.lingers());

    after(&watches, 999).await;
    watch.note_dropped();
    after(&watches, 999).await;
    assert!(watch.lingers(), "a byte in between starts the silence anew");

    after(&watches, 1).await;
    assert!(!watch.lingers());
}

#[tokio::test(start_paused = true)]
async fn a_lingering_connection_goes_although_its_client_never_ends() {
    for (draining, longest) in [(false, LINGER), (true, LINGER_SILENCE)] {
        let (watches, watch) = watched();
        watch.set_linger();
        watch.lingers();

        let started = clock::now();
        while watch.lingers() && started.elapsed() < LINGER * 2 {
            tokio::time::advance(Duration::from_millis(100)).await;
            watch.note_dropped();
            watches.sweep(draining);
        }

        assert_eq!(started.elapsed(), longest, "draining: {draining}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_ends_its_head_is_not_lingered_on_for_ever() {
    let (watches, watch) = watched();
    watch.note_read(true);
    after(&watches, 100).await;
    assert_eq!(watch.fate(), Fate::SlowHead);

    watch.set_linger();
    assert!(watch.lingers());
    after(&watches, 1000).await;

    assert_eq!((watch.lingers(), watch.fate()), (false, Fate::SlowHead));
}
