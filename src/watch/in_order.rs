//! The part of `tokio::sync::watch` that the crate uses, with its meaning, and with an order in which who waits is woken.

use std::future::poll_fn;
use std::ops::Deref;
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard};
use std::task::{Poll, Waker};

/// Changes the value. Clones change the same one.
#[derive(Debug)]
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// Sees the value, and waits for changes of it.
#[derive(Debug)]
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

/// Nobody can change the value any more.
#[derive(Debug, thiserror::Error)]
#[error("the channel is closed")]
pub struct Closed;

/// The value while it is looked at: nobody changes it meanwhile.
#[derive(Debug)]
pub struct Ref<'a, T>(RwLockReadGuard<'a, T>);

#[derive(Debug)]
struct Shared<T> {
    value: RwLock<T>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    version: u64,
    senders: usize,
    wakers: Vec<Waker>,
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A value, and both ends.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

impl<T> Shared<T> {
    fn wake(&self, waiting: impl FnOnce(&mut Waiting)) {
        let mut state = self.waiting.lock().unwrap();
        waiting(&mut state);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl<T> Sender<T> {
    /// A value that nobody waits for yet.
    pub fn new(value: T) -> Self {
        let waiting = Mutex::new(Waiting { version: 0, senders: 1, wakers: Vec::new() });
        Self { shared: Arc::new(Shared { value: RwLock::new(value), waiting }) }
    }

    /// One that has seen the present value.
    pub fn subscribe(&self) -> Receiver<T> {
        let seen = self.shared.waiting.lock().unwrap().version;
        Receiver { shared: Arc::clone(&self.shared), seen }
    }

    /// The present value.
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref(self.shared.value.read().unwrap())
    }

    /// Changes it, and tells everybody.
    pub fn send_modify(&self, change: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            change(value);
            true
        });
    }

    /// Puts another value in its place, and tells everybody.
    pub fn send_replace(&self, value: T) -> T {
        let mut value = value;
        self.send_modify(|present| std::mem::swap(present, &mut value));
        value
    }

    /// Changes it, and tells everybody if `change` says so.
    pub fn send_if_modified(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let changed = change(&mut self.shared.value.write().unwrap());
        if changed {
            self.shared.wake(|waiting| waiting.version += 1);
        }
        changed
    }
}

impl<T: Default> Default for Sender<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.waiting.lock().unwrap().senders += 1;
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.wake(|waiting| waiting.senders -= 1);
    }
}

impl<T> Receiver<T> {
    /// The present value.
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref(self.shared.value.read().unwrap())
    }

    /// The present value, which counts as seen.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let value = self.shared.value.read().unwrap();
        self.seen = self.shared.waiting.lock().unwrap().version;
        Ref(value)
    }

    /// Waits for a value that was not seen, which then counts as seen.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        poll_fn(|cx| {
            let mut waiting = self.shared.waiting.lock().unwrap();
            if waiting.version != self.seen {
                self.seen = waiting.version;
                return Poll::Ready(Ok(()));
            }
            if waiting.senders == 0 {
                return Poll::Ready(Err(Closed));
            }
            waiting.wakers.push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Waits until the value is as wanted, and gives it; that one counts as seen.
    pub async fn wait_for(
        &mut self,
        mut is_wanted: impl FnMut(&T) -> bool,
    ) -> Result<Ref<'_, T>, Closed> {
        while !is_wanted(&self.borrow_and_update()) {
            self.changed().await?;
        }
        Ok(self.borrow())
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), seen: self.seen }
    }
}
