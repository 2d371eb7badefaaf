//! Where the journey service keeps its documents: a map that all replicas in this process share, or Redis.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, IntoConnectionInfo, RedisConnectionInfo};

use super::document;
use crate::config::{StoreMode, StoreUrl};

/// For a connection to Redis, and for each answer on it.
const REDIS_TIMEOUT: Duration = Duration::from_secs(2);

/// Where documents are kept. Clones mean the same documents.
#[derive(Clone, Debug)]
pub enum DocumentStore {
    /// In this process.
    InProcess(Arc<Mutex<HashMap<String, String>>>),
    /// In Redis, one string per document.
    Redis(redis::Client),
}

/// Why a document was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// More than the demo needs.
    #[error(
        "{url} is more than the demo takes: write one Redis without TLS, like redis://127.0.0.1:6379"
    )]
    NotPlain {
        /// Which one.
        url: StoreUrl,
    },
    /// Redis refused, failed or didn't answer in time.
    #[error("Redis did not serve the document: {0}")]
    Redis(#[from] redis::RedisError),
}

/// A client of the one Redis at a URL. Nothing is sent yet.
pub(in crate::demo) fn client(url: &StoreUrl) -> Result<redis::Client, StoreError> {
    let [(host, port)] = url.nodes.as_slice() else {
        return Err(StoreError::NotPlain { url: url.clone() });
    };
    if url.tls || url.mode != StoreMode::Single {
        return Err(StoreError::NotPlain { url: url.clone() });
    }
    let mut settings = RedisConnectionInfo::default().set_db(url.db.into());
    if let Some(username) = &url.username {
        settings = settings.set_username(username);
    }
    if let Some(password) = &url.password {
        settings = settings.set_password(password.reveal());
    }
    let info = (host.as_str(), *port).into_connection_info()?.set_redis_settings(settings);
    Ok(redis::Client::open(info)?)
}

/// How the demo connects: it waits no longer than this for anything.
pub(in crate::demo) fn connection_config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(REDIS_TIMEOUT))
        .set_response_timeout(Some(REDIS_TIMEOUT))
}

impl DocumentStore {
    /// An empty store in this process.
    pub fn in_process() -> Self {
        Self::InProcess(Arc::default())
    }

    /// A store in Redis. Nothing is sent yet.
    pub fn redis(url: &StoreUrl) -> Result<Self, StoreError> {
        client(url).map(Self::Redis)
    }

    /// The store as one runtime uses it: a connection belongs to the runtime that opened it. Nothing is sent yet.
    pub fn open(&self) -> Documents {
        Documents { store: self.clone(), connection: tokio::sync::Mutex::default() }
    }
}

/// A [`DocumentStore`] in use by one runtime.
#[derive(Debug)]
pub struct Documents {
    store: DocumentStore,
    /// Made when it is first needed, and again after an error.
    connection: tokio::sync::Mutex<Option<MultiplexedConnection>>,
}

impl Documents {
    /// The document under a key, if there is one.
    pub async fn get(&self, key: &str) -> Result<Option<String>, StoreError> {
        match &self.store {
            DocumentStore::InProcess(map) => {
                Ok(map.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
            }
            DocumentStore::Redis(client) => self.ask(client, redis::cmd("GET").arg(key)).await,
        }
    }

    /// Writes a whole document, whatever stood there.
    pub async fn set(&self, key: &str, document: String) -> Result<(), StoreError> {
        match &self.store {
            DocumentStore::InProcess(map) => {
                map.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), document);
                Ok(())
            }
            DocumentStore::Redis(client) => {
                self.ask(client, redis::cmd("SET").arg(key).arg(document)).await
            }
        }
    }

    /// Writes a document where none stands; whatever stands there stays.
    async fn add(&self, key: &str, document: String) -> Result<(), StoreError> {
        match &self.store {
            DocumentStore::InProcess(map) => {
                let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
                map.entry(key.to_owned()).or_insert(document);
                Ok(())
            }
            DocumentStore::Redis(client) => {
                let command = redis::cmd("SETNX").arg(key).arg(document).to_owned();
                self.ask::<bool>(client, &command).await.map(|_added| ())
            }
        }
    }

    /// Writes a new document for each journey, over what stood there.
    pub async fn seed(&self, journeys: &[String]) -> Result<(), StoreError> {
        for journey in journeys {
            self.set(&document::key(journey), document::seeded(journey)).await?;
        }
        Ok(())
    }

    /// Writes a new document for each journey that has none: another replica's updates stay.
    pub async fn seed_missing(&self, journeys: &[String]) -> Result<(), StoreError> {
        for journey in journeys {
            self.add(&document::key(journey), document::seeded(journey)).await?;
        }
        Ok(())
    }

    async fn ask<T: redis::FromRedisValue>(
        &self,
        client: &redis::Client,
        command: &redis::Cmd,
    ) -> Result<T, StoreError> {
        let mut connection = self.connect(client).await?;
        let answer = command.query_async(&mut connection).await;
        if answer.is_err() {
            self.connection.lock().await.take();
        }
        Ok(answer?)
    }

    async fn connect(&self, client: &redis::Client) -> Result<MultiplexedConnection, StoreError> {
        let mut kept = self.connection.lock().await;
        if let Some(connection) = kept.as_ref() {
            return Ok(connection.clone());
        }
        let config = connection_config();
        let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        *kept = Some(connection.clone());
        Ok(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_who_open_a_store_see_the_same_documents() {
        let store = DocumentStore::in_process();
        store.open().seed(&["J1".to_owned()]).await.unwrap();

        let seen = store.open().get("journey:J1").await.unwrap();

        assert_eq!(seen, Some(document::seeded("J1")));
        assert_eq!(store.open().get("journey:J2").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_replica_that_starts_later_takes_nothing_back() {
        let documents = DocumentStore::in_process().open();
        documents.set("journey:J1", "updated".to_owned()).await.unwrap();

        documents.seed_missing(&["J1".to_owned(), "J2".to_owned()]).await.unwrap();

        assert_eq!(documents.get("journey:J1").await.unwrap().as_deref(), Some("updated"));
        assert_eq!(documents.get("journey:J2").await.unwrap(), Some(document::seeded("J2")));
    }

    #[test]
    fn more_than_one_plain_redis_is_refused_with_the_remedy() {
        let urls = ["rediss://:secret@r", "redis://a,b", "redis+sentinel://a/main"];
        for url in urls {
            let error = DocumentStore::redis(&url.parse().unwrap()).unwrap_err().to_string();

            let shown = error.contains("redis://127.0.0.1:6379") && !error.contains("secret");
            assert!(shown, "{url}: {error}");
        }
    }

    #[test]
    fn all_of_a_url_is_used() {
        let client = client(&"redis://app:secret@redis:7000/3".parse().unwrap()).unwrap();

        let info = client.get_connection_info();
        let settings = info.redis_settings();
        assert_eq!(info.addr().to_string(), "redis:7000");
        assert_eq!((settings.username(), settings.password()), (Some("app"), Some("secret")));
        assert_eq!(settings.db(), 3);
    }

    #[tokio::test]
    async fn a_redis_that_is_not_there_is_an_error_each_time() {
        // Bound and dropped: nobody listens on this port.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let documents = DocumentStore::redis(&format!("redis://{free}").parse().unwrap());
        let documents = documents.unwrap().open();

        for _ in 0..2 {
            assert!(matches!(documents.get("journey:J1").await, Err(StoreError::Redis(_))));
        }
    }
}
