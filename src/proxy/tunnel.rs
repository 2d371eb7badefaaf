//! Tunnels: a connection that has changed its protocol (a WebSocket, say) is passed on byte for byte.

use std::rc::Rc;

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt, copy_bidirectional};

use super::handler::Client;
use crate::net::TcpStream;

/// Joins the client's connection, once it has been switched, with the upstream's; `first` came after the upstream's head.
pub(crate) fn open(client: &Client, switch: OnUpgrade, mut upstream: TcpStream, first: Bytes) {
    client.watch.become_tunnel();
    let admitted = Rc::clone(&client.admitted);
    tokio::task::spawn_local(async move {
        // A client that leaves before the switch, or either side breaking off, ends the tunnel: nobody is left to tell.
        if let Ok(client) = switch.await {
            let mut client = TokioIo::new(client);
            if client.write_all(&first).await.is_ok() {
                copy_bidirectional(&mut client, &mut upstream).await.ok();
            }
        }
        drop(admitted);
    });
}
