//! How the simulated sidecars are configured: as real ones, with shorter times.

use std::sync::OnceLock;
use std::time::Duration;

use super::dice::Dice;
use super::documents::PREFIX;
use crate::config::{self, Config, RedisConfig};
use crate::domain::flag::OnStoreLoss;

/// `legacy.connect_timeout`.
pub(super) const CONNECT: Duration = Duration::from_millis(100);

/// `legacy.timeout`.
pub(super) const CALL: Duration = Duration::from_millis(400);

/// D: `legacy.settle_after_timeout`.
pub(super) const SETTLE: Duration = Duration::from_millis(600);

/// The flags, and the entities of each, in the order of the configuration.
pub(super) const FLAGS: &[(&str, &[&str])] =
    &[("edited", &["d:1", "d:2"]), ("moved", &["m:1", "m:2"]), ("serialized", &["s:1", "s:2"])];

/// One of the flags.
pub(super) fn any_flag(dice: &Dice) -> usize {
    usize::try_from(dice.number(0..FLAGS.len() as u64)).unwrap()
}

/// The entities that have a document.
pub(super) fn entities_with_documents() -> impl Iterator<Item = &'static str> {
    let entities = FLAGS.iter().flat_map(|(_, entities)| *entities).copied();
    entities.filter(|entity| entity.starts_with(PREFIX))
}

const CONFIG: &str = r#"
[legacy]
url = "http://127.0.0.1:9"
connect_timeout = "100ms"
timeout = "400ms"
settle_after_timeout = "600ms"
[store]
url = "redis://sidecar:6379"
timeout = "50ms"
[flags.serialized]
entity = "s:{id}"
on_store_loss = "reject"
lease = { wait = "5s", max_waiters = 1000 }
[[flags.serialized.routes]]
name = "serialized"
methods = ["PUT"]
path = "/s/{id}"
[flags.moved]
entity = "m:{id}"
on_store_loss = "reject"
lease = { wait = "5s", max_waiters = 1000 }
fixed = { strategy = "upstream", url = "http://127.0.0.1:10" }
[[flags.moved.routes]]
name = "moved"
methods = ["PUT"]
path = "/m/{id}"
[flags.edited]
entity = "d:{id}"
on_store_loss = "reject"
lease = { wait = "5s", max_waiters = 1000 }
fixed = { strategy = "atomic" }
[[flags.edited.routes]]
name = "slot"
methods = ["PUT"]
path = "/d/{id}/slots/{slot}/{update}"
atomic = { document = "d:{id}", pointer = "/Slots/[SlotId={slot}]/Update", value = "path:update" }
[[flags.edited.routes]]
name = "status"
methods = ["PUT"]
path = "/d/{id}/status/{update}"
atomic = { document = "d:{id}", pointer = "/Status", value = "path:update" }
[[flags.edited.routes]]
name = "both"
methods = ["PUT"]
path = "/d/{id}/both/{slot}/{update}"
[flags.edited.routes.atomic]
document = "d:{id}"
edits = [
    { pointer = "/Slots/[SlotId={slot}]/Update", value = "path:update" },
    { pointer = "/Status", value = "path:update" },
]
[[flags.edited.routes]]
name = "app"
methods = ["PUT"]
path = "/d/{id}/app/{slot}/{update}"
"#;

/// The configuration of all sidecars, by what happens while the store is gone.
pub(super) fn config(loss: OnStoreLoss) -> &'static Config {
    static READ: OnceLock<[Config; 2]> = OnceLock::new();
    let [legacy, reject] = READ.get_or_init(|| {
        let file = std::env::temp_dir().join(format!("interlock-fleet-{}", std::process::id()));
        std::fs::write(&file, CONFIG).unwrap();
        let loaded = config::load(std::slice::from_ref(&file), std::iter::empty());
        std::fs::remove_file(&file).unwrap();
        let config = loaded.unwrap_or_else(|problems| panic!("{problems}")).config;
        assert!(config.flags.iter().map(|flag| flag.name.as_str()).eq(FLAGS.iter().map(|it| it.0)));
        assert_eq!(config.legacy.timeout, CALL);
        assert_eq!(config.legacy.settle_after_timeout, SETTLE);
        assert_eq!(config.legacy.connect_timeout, CONNECT);
        let mut legacy = config.clone();
        legacy.flags.iter_mut().for_each(|flag| flag.on_store_loss = OnStoreLoss::Legacy);
        [legacy, config]
    });
    match loss {
        OnStoreLoss::Legacy => legacy,
        OnStoreLoss::Reject => reject,
    }
}

/// The store as a host dials it: the network knows the sidecar by that.
pub(super) fn store_of(host: &str) -> RedisConfig {
    let mut redis = config(OnStoreLoss::Reject).store.redis.clone().unwrap();
    redis.url.nodes = vec![(host.to_owned(), 6379)];
    redis
}
