//! The names of the store's keys and channels.

use std::borrow::Cow;

/// Makes the names of the store's keys. What the control plane keeps is in one slot of a cluster, and so is all that
/// belongs to one entity.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// Hash: a sidecar's id to when it was heard of and what it said.
    pub(crate) fn sidecars(&self) -> String {
        self.control("sidecars")
    }

    /// String: which store this is, and since when.
    pub(crate) fn epoch(&self) -> String {
        self.control("epoch")
    }

    /// Hash: a flag's name to its document.
    pub(crate) fn flags(&self) -> String {
        self.control("flags")
    }

    /// Counter: grows with every change of any flag.
    pub(crate) fn revision(&self) -> String {
        self.control("revision")
    }

    /// Stream: the changes of a flag, the latest last.
    pub(crate) fn history(&self, flag: &str) -> String {
        self.control(&format!("history:{flag}"))
    }

    /// List: what the lost-update detector knows of an entity. `store` is which store's clock it is written by, without a
    /// colon; no flag's name has a slash, so no two journals share a key.
    pub(crate) fn journal(&self, store: &str, flag: &str, entity: &str) -> String {
        self.control(&format!("journal:{store}:{flag}/{entity}"))
    }

    /// String: which sidecar checks the entity.
    pub(crate) fn journal_claim(&self, store: &str, flag: &str, entity: &str) -> String {
        self.control(&format!("journal-claim:{store}:{flag}/{entity}"))
    }

    /// Hash: a sidecar's id to how far its updates are in the journals.
    pub(crate) fn journal_marks(&self, store: &str) -> String {
        self.control(&format!("journal-marks:{store}"))
    }

    /// Stream: divergence records, the latest last.
    pub(crate) fn divergences(&self) -> String {
        self.control("divergences")
    }

    /// String: which records a writer has written last, so that none is written twice.
    pub(crate) fn divergence_writer(&self, writer: &str) -> String {
        self.control(&format!("divergences:{writer}"))
    }

    /// String: what is known of a call with an idempotency key; `name` is a digest in hexadecimal.
    pub(crate) fn idempotency(&self, name: &str) -> String {
        format!("{}:idempotency:{{{name}}}", self.prefix)
    }

    /// Channel: a flag was changed; the message is its name.
    pub(crate) fn changes(&self) -> String {
        format!("{}:changes", self.prefix)
    }

    /// Channel: a sidecar asks all others to beat at once.
    pub(crate) fn roll_call(&self) -> String {
        format!("{}:roll-call", self.prefix)
    }

    /// What the channels begin with on which sidecars are granted leases; a sidecar's id follows.
    pub(crate) fn grants(&self) -> String {
        format!("{}:grants:", self.prefix)
    }

    /// What the keys of an entity's lease begin with: `holder`, `queue` and `fence` follow.
    pub(crate) fn lease(&self, entity: &str) -> String {
        format!("{}:lease:{{{}}}:", self.prefix, tag(entity))
    }

    /// String: that an update of an entity was applied, and how it was answered. It lies in the entity's slot.
    pub(crate) fn receipt(&self, entity: &str, id: &str) -> String {
        format!("{}:receipt:{{{}}}:{id}", self.prefix, tag(entity))
    }

    /// Whether a key lies in the slot of the entity's keys for certain.
    pub(crate) fn is_beside(&self, entity: &str, key: &str) -> bool {
        tag_of(key) == tag_of(&self.lease(entity))
    }

    fn control(&self, name: &str) -> String {
        format!("{{{}}}:{name}", self.prefix)
    }
}

/// The part of a key by which a cluster finds its slot: what is within its first braces, or all of it where they hold nothing.
fn tag_of(key: &str) -> &str {
    let within = key.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    within.map(|(tag, _)| tag).filter(|tag| !tag.is_empty()).unwrap_or(key)
}

/// What puts all keys of an entity into one slot. An empty tag would be no tag: they would lie in different ones.
fn tag(entity: &str) -> Cow<'_, str> {
    match entity.starts_with('}') {
        true => format!("~{entity}").into(),
        false => entity.into(),
    }
}
