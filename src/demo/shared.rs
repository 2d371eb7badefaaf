//! The store that the demo's sidecars share: keys of this run's own, which go with it.

use std::time::Duration;

use redis::Cmd;

use super::journey::StoreError;
use super::journey::store::{client, connection_config};
use crate::clock;
use crate::config::{RedisConfig, StoreUrl};

/// For one command of a sidecar's: all of them share the processor with the services and the load.
const STORE_TIMEOUT: Duration = Duration::from_millis(500);
/// For deleting what a run leaves in the store.
const CLEAR_LIMIT: Duration = Duration::from_secs(1);
/// How many keys Redis looks at in one step of a search.
const SCAN_COUNT: usize = 1_000;

/// How the sidecars of a run that starts now find their store. What an earlier run left there has another prefix, so it
/// decides nothing.
pub fn config(url: StoreUrl) -> RedisConfig {
    RedisConfig {
        url,
        timeout: STORE_TIMEOUT,
        prefix: format!("interlock-demo-{}", clock::wall_ms()),
        username_file: None,
        password_file: None,
        ca_file: None,
    }
}

/// Deletes all keys of a run. It searches the whole store for them, and gives up after a second.
///
/// # Errors
/// Some may be left.
pub async fn clear(config: &RedisConfig) -> Result<(), StoreError> {
    let late =
        |_| Err(StoreError::Redis(std::io::Error::from(std::io::ErrorKind::TimedOut).into()));
    tokio::time::timeout(CLEAR_LIMIT, delete(config)).await.unwrap_or_else(late)
}

async fn delete(config: &RedisConfig) -> Result<(), StoreError> {
    let client = client(&config.url)?;
    let timeouts = connection_config();
    let mut connection = client.get_multiplexed_async_connection_with_config(&timeouts).await?;
    let mut cursor = 0_u64;
    loop {
        let scan = scan(cursor, &config.prefix);
        let (next, keys): (u64, Vec<String>) = scan.query_async(&mut connection).await?;
        let ours: Vec<&String> = keys.iter().filter(|key| is_of(key, &config.prefix)).collect();
        if !ours.is_empty() {
            redis::cmd("UNLINK").arg(ours).exec_async(&mut connection).await?;
        }
        cursor = next;
        if cursor == 0 {
            return Ok(());
        }
    }
}

fn scan(cursor: u64, prefix: &str) -> Cmd {
    let mut scan = redis::cmd("SCAN");
    scan.arg(cursor).arg("MATCH").arg(format!("*{prefix}*")).arg("COUNT").arg(SCAN_COUNT);
    scan
}

/// A sidecar's keys begin with its prefix, some of them in the braces that keep them in one slot of a cluster.
fn is_of(key: &str, prefix: &str) -> bool {
    let after =
        |key: &str, end: &str| key.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(end));
    after(key, ":") || key.strip_prefix('{').is_some_and(|key| after(key, "}:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_has_a_prefix_that_may_stand_in_a_configuration() {
        let config = config("redis://r".parse().unwrap());

        let number = config.prefix.strip_prefix("interlock-demo-").expect("the demo's own");
        assert!(number.parse::<u64>().unwrap() > 1_700_000_000_000, "{number}");
    }

    #[test]
    fn only_keys_of_this_run_are_deleted() {
        let check = |key: &str, ours: bool| assert_eq!(is_of(key, "demo-1"), ours, "{key}");

        check("{demo-1}:sidecars", true);
        check("demo-1:lease:{journey:J0001}:holder", true);
        check("demo-12:lease:{journey:J0001}:holder", false);
        check("{demo-12}:sidecars", false);
        check("journey:demo-1:x", false);
        check("demo-1", false);
    }
}
