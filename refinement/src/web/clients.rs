//! Who is connected: so many and no more, and nobody is kept out by those who only sit there.
//!
//! When there is no room the connection that was silent the longest makes some; only if none is silent one that streams,
//! the oldest first. Of several peers it is the one with the most connections that gives one up. So whoever comes gets
//! in, and a page that reads what it asked for is the last to lose its connection.

use super::server::lock;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::sync::Notify;

/// Most connections at a time. A browser opens six, and one for each stream.
const MOST: usize = 256;

/// Most of them that stream.
const MOST_STREAMS: usize = 64;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doing {
    /// Nothing that is known: it has said nothing yet, or half a request, or has been answered.
    Nothing,
    /// It is sent events.
    Streaming,
    /// Its request is being worked on.
    Asking,
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    peer: IpAddr,
    state: Mutex<(Doing, Instant)>,
    close: Notify,
}

/// All connections.
#[derive(Debug, Default)]
pub struct Clients {
    all: Mutex<Vec<Arc<Client>>>,
}

impl Client {
    /// Waits until it has to make room.
    pub async fn closed(&self) {
        self.close.notified().await;
    }

    fn state(&self) -> (Doing, Instant) {
        *lock(&self.state)
    }

    fn set(&self, doing: Doing) {
        *lock(&self.state) = (doing, Instant::now());
    }
}

impl Clients {
    /// One more; another may have to go.
    pub fn join(&self, peer: IpAddr) -> Arc<Client> {
        let client = Arc::new(Client {
            peer,
            state: Mutex::new((Doing::Nothing, Instant::now())),
            close: Notify::new(),
        });
        let mut all = lock(&self.all);
        while all.len() >= MOST {
            make_room(&mut all, |_| true);
        }
        all.push(client.clone());
        client
    }

    /// One less.
    pub fn leave(&self, client: &Arc<Client>) {
        lock(&self.all).retain(|c| !Arc::ptr_eq(c, client));
    }

    /// The system has no room: one has to go.
    pub fn make_room(&self) {
        make_room(&mut lock(&self.all), |_| true);
    }

    /// What a connection does from now on; if it is one stream too many, an older one has to go.
    pub fn now(&self, client: &Arc<Client>, doing: Doing) {
        client.set(doing);
        if doing == Doing::Streaming {
            let streams = |c: &Client| c.state().0 == Doing::Streaming;
            let mut all = lock(&self.all);
            while all.iter().filter(|c| streams(c)).count() > MOST_STREAMS {
                make_room(&mut all, streams);
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        lock(&self.all).len()
    }
}

/// Closes one of those.
fn make_room(all: &mut Vec<Arc<Client>>, of: impl Fn(&Client) -> bool) {
    let mut by_peer: HashMap<IpAddr, usize> = HashMap::new();
    for client in all.iter().filter(|c| of(c)) {
        *by_peer.entry(client.peer).or_default() += 1;
    }
    let most = by_peer.values().copied().max().unwrap_or(0);
    let candidates = all
        .iter()
        .enumerate()
        .filter(|(_, c)| of(c) && by_peer.get(&c.peer) == Some(&most));
    if let Some((at, _)) = candidates.min_by_key(|(_, c)| c.state()) {
        // A notification that nobody waits for yet is kept.
        all.remove(at).close.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> IpAddr {
        [127, 0, 0, n].into()
    }

    fn is_in(clients: &Clients, client: &Arc<Client>) -> bool {
        lock(&clients.all).iter().any(|c| Arc::ptr_eq(c, client))
    }

    #[test]
    fn whoever_was_silent_longest_makes_room_and_a_newcomer_never_waits() {
        let clients = Clients::default();
        let asking = clients.join(peer(1));
        clients.now(&asking, Doing::Asking);
        let silent: Vec<_> = (1..MOST).map(|_| clients.join(peer(1))).collect();
        for before in &silent {
            let newcomer = clients.join(peer(1));
            assert!(is_in(&clients, &newcomer) && !is_in(&clients, before));
            assert_eq!(clients.len(), MOST);
        }
        assert!(is_in(&clients, &asking));
    }

    #[test]
    fn the_peer_with_the_most_connections_gives_one_up() {
        let clients = Clients::default();
        let first = clients.join(peer(2));
        let many: Vec<_> = (1..MOST).map(|_| clients.join(peer(1))).collect();
        clients.join(peer(2));
        assert!(is_in(&clients, &first) && !is_in(&clients, &many[0]));
    }

    #[test]
    fn a_stream_too_many_ends_the_oldest_stream() {
        let clients = Clients::default();
        let silent = clients.join(peer(1));
        let streams: Vec<_> = (0..=MOST_STREAMS)
            .map(|_| {
                let client = clients.join(peer(1));
                clients.now(&client, Doing::Streaming);
                client
            })
            .collect();
        assert!(!is_in(&clients, &streams[0]));
        assert!(streams[1..].iter().all(|c| is_in(&clients, c)));
        assert!(is_in(&clients, &silent));
    }
}
