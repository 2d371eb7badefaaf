//! Where the journey service keeps its documents: a map that all replicas in this process share, or Redis.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;

use super::document;

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
    /// Not a Redis URL.
    #[error("{url:?} is no Redis URL: write one like redis://127.0.0.1:6379")]
    BadUrl {
        /// As given.
        url: String,
        /// What the client says about it.
        source: redis::RedisError,
    },
    /// Redis refused, failed or didn't answer in time.
    #[error("Redis did not serve the document: {0}")]
    Redis(#[from] redis::RedisError),
}

impl DocumentStore {
    /// An empty store in this process.
    pub fn in_process() -> Self {
        Self::InProcess(Arc::default())
    }

    /// A store in Redis. Nothing is sent yet.
    pub fn redis(url: &str) -> Result<Self, StoreError> {
        redis::Client::open(url)
            .map(Self::Redis)
            .map_err(|source| StoreError::BadUrl { url: url.to_owned(), source })
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

    /// Writes a new document for each journey, over what stood there.
    pub async fn seed(&self, journeys: &[String]) -> Result<(), StoreError> {
        for journey in journeys {
            self.set(&document::key(journey), document::seeded(journey)).await?;
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
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(REDIS_TIMEOUT))
            .set_response_timeout(Some(REDIS_TIMEOUT));
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

    #[test]
    fn a_url_that_is_none_is_named_with_the_remedy() {
        let error = DocumentStore::redis("http://x").unwrap_err().to_string();

        assert!(error.contains("http://x") && error.contains("redis://127.0.0.1:6379"), "{error}");
    }

    #[tokio::test]
    async fn a_redis_that_is_not_there_is_an_error_each_time() {
        // Bound and dropped: nobody listens on this port.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let documents = DocumentStore::redis(&format!("redis://{free}")).unwrap().open();

        for _ in 0..2 {
            assert!(matches!(documents.get("journey:J1").await, Err(StoreError::Redis(_))));
        }
    }
}
