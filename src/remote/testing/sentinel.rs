//! A master, its replica, and a Sentinel that watches them.

#![cfg(test)]

use super::ports::ReservedPort;
use super::{Folder, TestServer, cli_until, program};
use crate::config::{RedisConfig, StoreMode};

/// What the Sentinel calls the service.
const SERVICE: &str = "store";

/// A Sentinel with what it watches.
pub(crate) struct TestSentinel {
    /// The master, at first.
    pub(crate) master: TestServer,
    /// Its replica.
    pub(crate) replica: TestServer,
    sentinel: TestServer,
}

impl TestSentinel {
    /// One that takes a master for dead after half a second.
    pub(crate) fn start() -> Self {
        let master = TestServer::redis();
        let of = format!("127.0.0.1 {}", master.port());
        let replica = TestServer::redis_with(&["--replicaof", &of]);
        cli_until(replica.port(), &["INFO", "replication"], "master_link_status:up");

        let folder = Folder::new();
        let settings = format!(
            "sentinel monitor {SERVICE} {of} 1\nsentinel down-after-milliseconds {SERVICE} 500\n\
             sentinel failover-timeout {SERVICE} 3000\n"
        );
        let file = folder.write("sentinel.conf", &settings);
        let words = [file.to_str().unwrap(), "--sentinel"];
        let redis = program("redis-server", ".ci/setup installs it");
        let sentinel = TestServer::at(ReservedPort::new(), redis, &words, folder);
        cli_until(sentinel.port(), &["SENTINEL", "REPLICAS", SERVICE], "127.0.0.1");
        Self { master, replica, sentinel }
    }

    /// A configuration that names the Sentinel, after one that is not there.
    pub(crate) fn config(&self) -> RedisConfig {
        let mut config = self.sentinel.config();
        config.url.nodes.insert(0, ("127.0.0.1".to_owned(), 1));
        config.url.mode = StoreMode::Sentinel { service: SERVICE.to_owned() };
        config
    }
}
