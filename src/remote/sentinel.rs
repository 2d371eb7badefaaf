//! Where the master is, as the Sentinels know it.

use std::cell::RefCell;

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, cmd};

use super::connect::{Connector, Login};
use super::credentials::Credentials;
use super::failure::Failure;
use super::place::Address;

/// A master's host and port; nothing from a Sentinel that doesn't know the service.
type Answer = Option<(String, u16)>;

/// The Sentinels of a service. Whoever answered last is asked first.
pub(super) struct Sentinels {
    service: String,
    order: RefCell<Vec<Address>>,
}

impl Sentinels {
    pub(super) fn new(service: String, addresses: Vec<Address>) -> Self {
        Self { service, order: RefCell::new(addresses) }
    }

    /// Asks one after the other where the master is.
    ///
    /// An answer may be out of date: the server has to say itself that it is the master.
    pub(super) async fn master(
        &self,
        connector: &Connector,
        credentials: &Credentials,
    ) -> Result<Address, Failure> {
        let sentinels = self.order.borrow().clone();
        let mut failure = None;
        for sentinel in sentinels {
            match self.ask(connector, credentials, &sentinel).await {
                Ok(Some(master)) => {
                    self.prefer(&sentinel);
                    return Ok(master);
                }
                // That it doesn't know the service tells more than that another one is silent.
                Ok(None) => {
                    let service = self.service.clone();
                    failure = Some(Failure::UnknownService { address: sentinel, service });
                }
                Err(why) => failure = failure.or(Some(why)),
            }
        }
        Err(Failure::NoSentinel { last: failure.map(Box::new) })
    }

    async fn ask(
        &self,
        connector: &Connector,
        credentials: &Credentials,
        sentinel: &Address,
    ) -> Result<Option<Address>, Failure> {
        let mut question = cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.service);
        let conversation = async |connection: &mut MultiplexedConnection| {
            let first: RedisResult<Answer> = question.query_async(connection).await;
            match (first, &credentials.password) {
                // Sentinels seldom have users of their own: the store's login is told only to one that asks for it.
                (Err(error), Some(password)) if error.code() == Some("NOAUTH") => {
                    let mut login = cmd("AUTH");
                    login.arg(&credentials.username).arg(password);
                    let () = login.query_async(connection).await?;
                    question.query_async(connection).await
                }
                (first, _) => first,
            }
        };
        let master = connector.consult(sentinel, Login::Sentinel, conversation).await?;
        Ok(master.map(|(host, port)| Address { host, port }))
    }

    fn prefer(&self, sentinel: &Address) {
        let mut order = self.order.borrow_mut();
        if let Some(at) = order.iter().position(|address| address == sentinel) {
            let sentinel = order.remove(at);
            order.insert(0, sentinel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StoreMode;
    use crate::remote::testing::TestSentinel;
    use crate::remote::tests::on_store_thread;

    #[test]
    fn the_sentinel_that_answered_is_asked_first_the_next_time() {
        on_store_thread(async {
            let fleet = TestSentinel::start();
            let config = fleet.config();
            let StoreMode::Sentinel { service } = config.url.mode.clone() else {
                panic!("no service");
            };
            let connector = Connector::new(config);
            let addresses: Vec<_> = connector.configured().collect();
            let sentinels = Sentinels::new(service, addresses.clone());

            let master = sentinels.master(&connector, &Credentials::default()).await.unwrap();

            assert_eq!(master.port, fleet.master.port());
            assert_eq!(*sentinels.order.borrow(), [addresses[1].clone(), addresses[0].clone()]);
        });
    }
}
