//! A Redis Cluster of three masters.

#![cfg(test)]

use super::ports::ReservedPort;
use super::{TestServer, cli_until};
use crate::config::{RedisConfig, StoreMode};

/// Slots of each node: the last one's are these and the rest.
const SLOTS: [(&str, &str); 3] = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];

/// Three masters without replicas, that serve all slots.
pub(crate) struct TestCluster {
    nodes: Vec<TestServer>,
    _buses: Vec<ReservedPort>,
}

impl TestServer {
    /// A Redis Cluster.
    pub(crate) fn cluster() -> TestCluster {
        let buses: Vec<_> = SLOTS.iter().map(|_| ReservedPort::new()).collect();
        let bus = |at: usize| buses[at].address().port().to_string();
        let start = |at| {
            let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
            Self::redis_with(&[&arguments[..], &["--cluster-port", &bus(at)]].concat())
        };
        let nodes: Vec<_> = (0..SLOTS.len()).map(start).collect();
        let first = nodes[0].port().to_string();
        for (node, (from, to)) in nodes.iter().zip(SLOTS) {
            assert_eq!(node.cli(&["CLUSTER", "ADDSLOTSRANGE", from, to]), "OK");
            assert_eq!(node.cli(&["CLUSTER", "MEET", "127.0.0.1", &first, &bus(0)]), "OK");
        }
        let cluster = TestCluster { nodes, _buses: buses };
        cluster.until_ok();
        cluster
    }
}

impl TestCluster {
    /// A node: 0, 1 or 2, by its slots.
    pub(crate) fn node(&mut self, at: usize) -> &mut TestServer {
        &mut self.nodes[at]
    }

    /// Waits until every node says that all is well.
    pub(crate) fn until_ok(&self) {
        for node in &self.nodes {
            cli_until(node.port(), &["CLUSTER", "INFO"], "cluster_state:ok");
        }
    }

    /// A configuration that names two of its nodes.
    pub(crate) fn config(&self) -> RedisConfig {
        let mut config = self.nodes[0].config();
        config.url.mode = StoreMode::Cluster;
        config.url.nodes.push(("127.0.0.1".to_owned(), self.nodes[1].port()));
        config
    }

    /// Hands an empty slot over, so that the nodes say so and nobody else is told.
    pub(crate) fn hand_over(&self, slot: u16, from: usize, to: usize) {
        let id = self.nodes[to].cli(&["CLUSTER", "MYID"]);
        for node in [to, from] {
            let done =
                self.nodes[node].cli(&["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", &id]);
            assert_eq!(done, "OK");
        }
    }

    /// Begins to move a slot: the old node has what is there, the new one gets what comes.
    pub(crate) fn begin_to_move(&self, slot: u16, from: usize, to: usize) {
        let slot = slot.to_string();
        let set = |at: usize, how, other: usize| {
            let id = self.nodes[other].cli(&["CLUSTER", "MYID"]);
            assert_eq!(self.nodes[at].cli(&["CLUSTER", "SETSLOT", &slot, how, &id]), "OK");
        };
        set(to, "IMPORTING", from);
        set(from, "MIGRATING", to);
    }
}
