//! A Redis Cluster of three masters.

use super::ports::ReservedPort;
use super::redis::{Flavor, Redis};
use super::wait::until;

/// Slots, split among the nodes.
const SLOTS: usize = 16_384;

/// Without it one lost node would stop all the others.
const NOT_WHOLE: [&str; 2] = ["--cluster-require-full-coverage", "no"];

/// Three nodes with a third of the slots each; killed when dropped.
pub(crate) struct Cluster {
    nodes: Vec<Redis>,
    // The nodes talk to each other there.
    _buses: Vec<ReservedPort>,
}

impl Cluster {
    /// Starts the nodes and waits until each of them finds the whole in order.
    #[track_caller]
    pub(crate) fn start(flavor: Flavor) -> Self {
        let buses: Vec<ReservedPort> = (0..3).map(|_| ReservedPort::new()).collect();
        let nodes: Vec<Redis> = buses.iter().map(|bus| node(flavor, bus)).collect();
        for (number, node) in nodes.iter().enumerate() {
            let slot = |number: usize| number * SLOTS / nodes.len();
            let (first, last) = (slot(number).to_string(), (slot(number + 1) - 1).to_string());
            node.command(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]);
        }
        for (node, bus) in nodes.iter().zip(&buses).skip(1) {
            let (port, bus) = (node.address().port().to_string(), bus.address().port().to_string());
            nodes[0].command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        }
        let cluster = Self { nodes, _buses: buses };
        cluster.wait_until_whole();
        cluster
    }

    #[track_caller]
    fn wait_until_whole(&self) {
        for node in &self.nodes {
            until("a node to know all slots", || {
                let info = node.command(&["CLUSTER", "INFO"]);
                let info = info.text().expect("CLUSTER INFO is text");
                info.contains("cluster_state:ok") && info.contains("cluster_slots_assigned:16384")
            });
        }
    }

    /// `redis://` with all nodes, for a store with `cluster = true`.
    pub(crate) fn url(&self) -> String {
        let addresses: Vec<String> =
            self.nodes.iter().map(|node| node.address().to_string()).collect();
        format!("redis://{}", addresses.join(","))
    }

    /// The nodes, in the order of their slots.
    pub(crate) fn nodes(&mut self) -> &mut [Redis] {
        &mut self.nodes
    }
}

#[track_caller]
fn node(flavor: Flavor, bus: &ReservedPort) -> Redis {
    let bus = bus.address().port().to_string();
    let own =
        ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "2000"];
    Redis::start_with(flavor, &[&own[..], &NOT_WHOLE].concat())
}
