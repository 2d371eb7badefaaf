//! The documents of an app that keeps them in the fleet's store, and what was written to them.
//!
//! An update sets one or two of a document's places to its own number. So every write tells whose it is, what it undid, and whether
//! it was made before.

use std::fmt;
use std::rc::Rc;

use super::app::{UpdateId, Writer};
use super::dice::Dice;

/// Keys of documents begin with it.
pub(super) const PREFIX: &str = "d:";

/// Elements of a document's array.
const SLOTS: usize = 4;

/// The last place is a member of the root.
const PLACES: usize = SLOTS + 1;

/// How long a document lives from its creation, in milliseconds: longer than a day, and each write keeps it.
pub(super) const LIVES_MS: u64 = 3_600_000;

/// What is at each place: 0 at first, and then the number of the update that set it.
pub(super) type Values = [UpdateId; PLACES];

/// A new document.
pub(super) const NEW: Values = [0; PLACES];

/// What an update changes, and how it is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// An element of the array.
    Slot(usize),
    /// A member of the root.
    Status,
    /// Both of them.
    Both(usize),
    /// An element, by a route that declares no edit.
    ByApp(usize),
}

impl Change {
    pub(super) fn any(dice: &Dice) -> Self {
        let slot = usize::try_from(dice.number(0..SLOTS as u64)).unwrap();
        match dice.number(0..8) {
            0 => Self::Status,
            1 => Self::Both(slot),
            2 | 3 => Self::ByApp(slot),
            _ => Self::Slot(slot),
        }
    }

    /// The path of the call.
    pub(super) fn path(self, document: &str, update: UpdateId) -> String {
        let id = document.strip_prefix(PREFIX).unwrap();
        match self {
            Self::Slot(slot) => format!("/d/{id}/slots/{slot}/{update}"),
            Self::Status => format!("/d/{id}/status/{update}"),
            Self::Both(slot) => format!("/d/{id}/both/{slot}/{update}"),
            Self::ByApp(slot) => format!("/d/{id}/app/{slot}/{update}"),
        }
    }

    /// Which places it sets.
    pub(super) fn places(self) -> Vec<usize> {
        match self {
            Self::Slot(slot) | Self::ByApp(slot) => vec![slot],
            Self::Status => vec![SLOTS],
            Self::Both(slot) => vec![slot, SLOTS],
        }
    }
}

/// An update of a document, as its caller asks for it.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) change: Change,
    /// The run of the store in which it was asked for first, where it has an idempotency key.
    pub(super) keyed_in: Option<u64>,
}

impl Asked {
    /// Whether its key may have been forgotten before this run of the store, or in it: then it may be made again.
    pub(super) fn may_be_forgotten(&self, run: u64) -> bool {
        self.keyed_in.is_some_and(|first| first != run)
    }
}

/// A document as an app writes it, with what no encoder would write in the same way.
pub(super) fn text(document: &str, values: &Values) -> String {
    let slot =
        |slot: usize| format!(r#"{{"SlotId":"{slot}", "Update":{} ,"Price":1E+2}}"#, values[slot]);
    let slots: Vec<String> = (0..SLOTS).map(slot).collect();
    format!(
        "{{ \"Id\":\"{document}\",\"TotalPrice\": 850.50,\"Slots\":[{}],\r\n\"Status\":{}, \
         \"Metadata\":{{\"Name\":\"Zo\\u00eb \u{2602}\",\"Big\":12345678901234567890}}}}",
        slots.join(", "),
        values[SLOTS],
    )
}

/// What a document says; `None` where any other byte of it is not as the app writes it.
pub(super) fn values(document: &str, bytes: &[u8]) -> Option<Values> {
    let whole = std::str::from_utf8(bytes).ok()?;
    let number = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit())?;
        text[..end].parse().ok()
    };
    let mut values = NEW;
    for (place, rest) in whole.split("\"Update\":").skip(1).enumerate() {
        *values.get_mut(place)? = number(rest)?;
    }
    values[SLOTS] = number(whole.split_once("\"Status\":")?.1)?;
    (text(document, &values) == whole).then_some(values)
}

/// Who wrote.
#[derive(Clone)]
pub(super) enum Hand {
    /// The app, when it made a document that was not there.
    Maker,
    /// The app, for an update.
    App(Writer),
    /// A script, for a sidecar.
    Edit,
}

/// A document as it is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) bytes: Vec<u8>,
    /// By the store's clock, in milliseconds.
    pub(super) expires: Option<u64>,
}

/// A write of a document.
pub(super) struct Write {
    pub(super) document: String,
    pub(super) hand: Hand,
    /// The run of the store.
    pub(super) run: u64,
    /// By the store's clock, in milliseconds.
    pub(super) at_ms: u64,
    pub(super) before: Values,
    pub(super) after: Values,
    /// What is wrong with it, whoever wrote what.
    pub(super) damage: Option<String>,
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { document, run, at_ms, before, after, .. } = self;
        write!(f, "{document} in run {run} at {at_ms}: {before:?} to {after:?} by ")?;
        match &self.hand {
            Hand::Maker => f.write_str("the app"),
            Hand::App(writer) => writer.fmt(f),
            Hand::Edit => f.write_str("an edit"),
        }
    }
}

impl Write {
    pub(super) fn of(
        document: &str,
        (hand, run, at_ms): (Hand, u64, u64),
        before: Option<&Stored>,
        after: Option<&Stored>,
    ) -> Rc<Self> {
        let read = |stored: Option<&Stored>| match stored {
            None => Some(NEW),
            Some(stored) => values(document, &stored.bytes),
        };
        let damage = match (&hand, before, after) {
            (Hand::Maker, ..) => None,
            (_, Some(_), None) => Some("is gone".to_owned()),
            (_, None, _) => Some("was made by an update".to_owned()),
            (_, Some(before), Some(after)) if before.expires != after.expires => {
                Some(format!("expires at {:?} and not {:?}", after.expires, before.expires))
            }
            (_, _, Some(after)) => read(Some(after)).is_none().then(|| {
                format!("is not as it was written: {}", String::from_utf8_lossy(&after.bytes))
            }),
        };
        let (before, after) = (read(before).unwrap_or(NEW), read(after).unwrap_or(NEW));
        Rc::new(Self { document: document.to_owned(), hand, run, at_ms, before, after, damage })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_says_what_was_written_and_notices_any_other_change() {
        let written = text("d:1", &[7, 0, 12, 3, 99]);

        assert_eq!(values("d:1", written.as_bytes()), Some([7, 0, 12, 3, 99]));
        for at in 0..written.len() {
            let mut damaged = written.clone().into_bytes();
            damaged[at] ^= 1;
            let read = values("d:1", &damaged);
            assert_ne!(
                read,
                Some([7, 0, 12, 3, 99]),
                "{at}: {}",
                String::from_utf8_lossy(&damaged)
            );
        }
        assert_eq!(values("d:1", written.replace("850.50", "850.5").as_bytes()), None);
        assert_eq!(values("d:2", written.as_bytes()), None);
    }
}
