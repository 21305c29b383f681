//! Who is behind a flow: the process that listens, and the containers of both ends.

mod containers;

use std::{
    collections::HashMap,
    fs,
    io::{BufRead as _, BufReader},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use self::containers::Containers;
use super::netns::Netns;
use crate::model::{Endpoint, FlowInfo, Process};

/// The tables below are read anew at most this often.
const AGAIN: Duration = Duration::from_secs(1);
/// How long an answer of "nobody" to a socket that exists is believed: its process may be one that we cannot see.
const NOBODY: Duration = Duration::from_secs(30);

/// Fills in what the capture cannot know. Asked as a flow opens and as its sockets get known; reads tables and trees
/// only if a flow shows something new, and at most once a second.
pub struct Identity {
    netns: Netns,
    /// Listening sockets of the namespace by port, with the addresses that are its own.
    listeners: HashMap<u16, Vec<Listener>>,
    local: Vec<IpAddr>,
    listed: Option<Instant>,
    /// Processes by socket inode.
    owners: HashMap<u64, Owner>,
    scanned: Option<Instant>,
    containers: Containers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Listener {
    address: IpAddr,
    inode: u64,
}

struct Owner {
    process: Option<Process>,
    asked: Instant,
}

impl Identity {
    /// For flows of the capture in this network namespace; none: our own.
    pub fn new(netns: Option<&Path>) -> anyhow::Result<Self> {
        Ok(Self {
            netns: Netns::open(netns)?,
            listeners: HashMap::new(),
            local: Vec::new(),
            listed: None,
            owners: HashMap::new(),
            scanned: None,
            containers: Containers::default(),
        })
    }

    /// Fills in the server's process, and the containers of both ends, where they can be found out.
    pub fn fill(&mut self, info: &mut FlowInfo) {
        // Listeners are known of one namespace only; the same port may be open in others.
        let here = [0, self.netns.inode()].contains(&info.key.zone());
        if here && info.server.process.is_none() {
            info.server.process = self.listener(info.server.endpoint);
        }
        self.containers.fill(info);
    }

    /// Fills in the containers of both ends only: that takes no right to look into other processes.
    pub fn containers() -> impl FnMut(&mut FlowInfo) + Send {
        let mut containers = Containers::default();
        move |info| containers.fill(info)
    }

    /// The process that listens at an address of this namespace.
    fn listener(&mut self, endpoint: Endpoint) -> Option<Process> {
        let mut inode = self.inode(endpoint);
        let known = inode.is_some_and(|inode| self.owners.get(&inode).is_some_and(Owner::still_holds));
        if !known && due(&mut self.listed) {
            self.list();
            inode = self.inode(endpoint);
        }
        let inode = inode?;
        if !self.owners.get(&inode).is_some_and(Owner::still_holds) && due(&mut self.scanned) {
            self.scan();
        }
        self.owners.get(&inode)?.process.clone()
    }

    fn inode(&self, endpoint: Endpoint) -> Option<u64> {
        let address = endpoint.ip();
        let listeners = self.listeners.get(&endpoint.port())?;
        let exact = listeners.iter().find(|listener| listener.address == address);
        let any = || {
            // A wildcard answers for the namespace's own addresses only: the port may be a remote server's.
            let own = address.is_loopback() || self.local.contains(&address);
            let fits = |listener: &&Listener| match listener.address {
                IpAddr::V4(any) => any.is_unspecified() && address.is_ipv4(),
                // An IPv6 wildcard takes IPv4 too, unless its owner said otherwise.
                IpAddr::V6(any) => any.is_unspecified(),
            };
            own.then(|| listeners.iter().find(fits)).flatten()
        };
        exact.or_else(any).map(|listener| listener.inode)
    }

    /// Reads the namespace's listening sockets and addresses.
    fn list(&mut self) {
        let read = self.netns.run(|| {
            let mut listeners = listening("/proc/thread-self/net/tcp");
            listeners.extend(listening("/proc/thread-self/net/tcp6"));
            Ok((listeners, addresses()))
        });
        match read {
            Ok((listeners, local)) => {
                self.listeners.clear();
                for (port, listener) in listeners {
                    self.listeners.entry(port).or_default().push(listener);
                }
                self.local = local;
            }
            Err(error) => tracing::debug!("cannot list listening sockets: {error:#}"),
        }
    }

    /// Finds the processes behind the listening sockets.
    fn scan(&mut self) {
        let asked = Instant::now();
        let listeners = self.listeners.values().flatten();
        self.owners = listeners.map(|listener| (listener.inode, Owner { process: None, asked })).collect();
        for pid in processes() {
            // Without permission, or gone by now.
            for entry in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
                let inode = fs::read_link(entry.path()).ok().and_then(|target| socket_inode(target.to_str()?));
                let Some(owner) = inode.and_then(|inode| self.owners.get_mut(&inode)) else { continue };
                // The first is the lowest PID: the parent, where a socket is shared.
                if owner.process.is_none() {
                    owner.process = process(pid);
                }
            }
        }
    }
}

impl Owner {
    /// Is the answer of use? A process that is gone has left its socket to another, or closed it.
    fn still_holds(&self) -> bool {
        match &self.process {
            Some(process) => Path::new("/proc").join(process.pid.to_string()).exists(),
            None => self.asked.elapsed() < NOBODY,
        }
    }
}

/// Is it time again? Then it is now.
fn due(last: &mut Option<Instant>) -> bool {
    let due = last.is_none_or(|last| last.elapsed() >= AGAIN);
    if due {
        *last = Some(Instant::now());
    }
    due
}

/// Listening sockets of a `/proc/net/tcp` table: they are its first lines, so that reading can stop.
fn listening(table: &str) -> Vec<(u16, Listener)> {
    let Ok(file) = fs::File::open(table) else { return Vec::new() };
    let lines = BufReader::new(file).lines().skip(1).map_while(Result::ok);
    lines.map_while(|line| listener(&line)).collect()
}

/// A line of the table: number, local address, remote address, state, and six fields on, the inode.
fn listener(line: &str) -> Option<(u16, Listener)> {
    /// `TCP_LISTEN`
    const LISTEN: &str = "0A";
    let mut fields = line.split_ascii_whitespace();
    let (address, port) = fields.nth(1)?.split_once(':')?;
    if fields.nth(1)? != LISTEN {
        return None;
    }
    let inode = fields.nth(5)?.parse().ok()?;
    Some((u16::from_str_radix(port, 16).ok()?, Listener { address: address_in(address)?, inode }))
}

/// Words of four bytes, each printed as this machine's number.
fn address_in(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut octets = [0; 16];
            for (at, chunk) in octets.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(8 * at)?);
            }
            Some(Ipv6Addr::from(octets).to_canonical())
        }
        _ => None,
    }
}

/// The addresses of this thread's network namespace.
fn addresses() -> Vec<IpAddr> {
    let all = nix::ifaddrs::getifaddrs().into_iter().flatten();
    all.filter_map(|entry| {
        let address = entry.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    })
    .collect()
}

/// Ids of all processes that we can see, lowest first.
pub(super) fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

/// A process by its id.
fn process(pid: u32) -> Option<Process> {
    let command = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(Process { pid, command: Arc::from(command.trim_end_matches('\n')) })
}

/// `socket:[4026]`
fn socket_inode(target: &str) -> Option<u64> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::model::{FlowKey, Peer, Timestamp};

    fn flow(server: Endpoint) -> FlowInfo {
        let client = Endpoint::new([127, 0, 0, 1].into(), 1);
        FlowInfo {
            id: 1,
            key: FlowKey::new(0, client, server),
            client: Peer::new(client),
            server: Peer::new(server),
            start: Timestamp::from_nanos(0),
            joined: false,
            round_trip: None,
            interface: 1,
        }
    }

    #[test]
    fn tables_are_read() {
        let v4 = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4026 1 0";
        let inode = 4026;
        #[cfg(target_endian = "little")]
        assert_eq!(listener(v4), Some((8080, Listener { address: [127, 0, 0, 1].into(), inode })));
        let v6 = v4.replacen("0100007F", "00000000000000000000000000000000", 1);
        assert_eq!(listener(&v6), Some((8080, Listener { address: Ipv6Addr::UNSPECIFIED.into(), inode })));
        assert_eq!(listener(&v4.replace(" 0A ", " 01 ")), None);
        assert_eq!(listener(""), None);
        assert_eq!(socket_inode("socket:[4026]"), Some(4026));
        assert_eq!(socket_inode("pipe:[4026]"), None);
    }

    #[test]
    fn we_are_found_behind_our_own_listeners() {
        let mut identity = Identity::new(None).unwrap();
        let exact = TcpListener::bind("127.0.0.1:0").unwrap();
        let any = TcpListener::bind("0.0.0.0:0").unwrap();
        for endpoint in [
            Endpoint::from(exact.local_addr().unwrap()),
            Endpoint::new([127, 0, 0, 1].into(), any.local_addr().unwrap().port()),
        ] {
            let mut info = flow(endpoint);
            identity.fill(&mut info);
            assert_eq!(info.server.process.map(|process| process.pid), Some(std::process::id()), "{endpoint}");
        }
        // Somebody else's server that uses the same port is not ours.
        let mut info = flow(Endpoint::new([192, 0, 2, 1].into(), any.local_addr().unwrap().port()));
        identity.fill(&mut info);
        assert_eq!(info.server.process, None);
    }

    #[test]
    fn what_is_unknown_is_looked_for_once_a_second() {
        let mut identity = Identity::new(None).unwrap();
        let mut info = flow(Endpoint::new([127, 0, 0, 1].into(), 1));
        identity.fill(&mut info);
        let listed = identity.listed;
        assert!(listed.is_some());
        identity.fill(&mut info);
        assert_eq!(identity.listed, listed);
    }
}
