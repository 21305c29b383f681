//! Bounds-checked reads of a packet: IP and TCP headers, and where the payload lies.

use core::arch::asm;

use aya_ebpf::{
    EbpfContext,
    bindings::{__sk_buff, bpf_sock},
    helpers::generated::{
        bpf_get_socket_cookie, bpf_sk_fullsock, bpf_skb_ancestor_cgroup_id, bpf_skb_cgroup_id, bpf_skb_load_bytes,
    },
};
use interceptor_common::{DropReason, SegmentEvent, TupleKey};

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;

pub const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_HOP_BY_HOP: u8 = 0;
const PROTOCOL_ROUTING: u8 = 43;
const PROTOCOL_FRAGMENT: u8 = 44;
const PROTOCOL_AUTHENTICATION: u8 = 51;
const PROTOCOL_DESTINATION: u8 = 60;
const PROTOCOL_MOBILITY: u8 = 135;

/// VLAN tags inside the packet that are looked through (the accelerated tag is not inside).
const VLAN_TAGS_MAX: u32 = 2;
/// IPv6 extension headers that are looked through.
const EXTENSIONS_MAX: u32 = 6;
/// No header begins beyond this; tells the verifier that offsets are small.
const OFFSET_MASK: u32 = 0x1fff;
/// `TCP_LISTEN`, as in `bpf_sock::state`.
pub const STATE_LISTEN: u32 = 10;

/// `::ffff:0:0/96`: an IPv4 address (RFC 4291 section 2.5.5.2).
pub const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
/// `AF_INET`, as contexts and sockets have it.
pub const AF_INET: u32 = 2;

/// What lies at the beginning of a packet's data.
#[derive(Clone, Copy)]
pub enum Link {
    Ethernet,
    /// Nothing: the IP header is first.
    Raw,
}

/// A packet of no interest (not TCP), or one that is dropped from the capture.
pub enum Skip {
    NotTcp,
    Drop(DropReason),
}

impl From<DropReason> for Skip {
    #[inline(always)]
    fn from(reason: DropReason) -> Self {
        Self::Drop(reason)
    }
}

/// Where a TCP segment lies in the skb.
struct Span {
    tcp_at: u32,
    end: u32,
}

/// The first words of an IPv4 header (RFC 791 section 3.1), without options.
type Ipv4Header = [u32; 5];
/// An IPv6 header (RFC 8200 section 3).
type Ipv6Header = [u32; 10];
/// A TCP header (RFC 9293 section 3.1), without options.
type TcpHeader = [u32; 5];

/// The context of TC and cgroup_skb programs.
#[derive(Clone, Copy)]
pub struct Skb(*mut __sk_buff);

impl EbpfContext for Skb {
    fn as_ptr(&self) -> *mut core::ffi::c_void {
        self.0.cast()
    }
}

impl Skb {
    #[inline(always)]
    pub fn new(context: *mut core::ffi::c_void) -> Self {
        Self(context.cast())
    }

    /// Where the kernel's own `struct sk_buff` lies.
    #[inline(always)]
    pub fn address(self) -> u64 {
        self.0 as u64
    }

    #[inline(always)]
    pub fn ifindex(self) -> u32 {
        // SAFETY: the context is valid for the run of the program; so below.
        unsafe { (*self.0).ifindex }
    }

    #[inline(always)]
    pub fn cookie(self) -> u64 {
        // SAFETY: as above.
        unsafe { bpf_get_socket_cookie(self.0.cast()) }
    }

    #[inline(always)]
    pub fn cgroup_id(self) -> u64 {
        // SAFETY: as above.
        unsafe { bpf_skb_cgroup_id(self.0) }
    }

    #[inline(always)]
    pub fn ancestor_cgroup_id(self, level: i32) -> u64 {
        // SAFETY: as above.
        unsafe { bpf_skb_ancestor_cgroup_id(self.0, level) }
    }

    /// Its socket, if the kernel ties a whole one to it; else null.
    #[inline(always)]
    pub fn socket(self) -> *mut bpf_sock {
        // SAFETY: the verifier proves the null check.
        unsafe {
            let socket = (*self.0).__bindgen_anon_2.sk;
            if socket.is_null() { core::ptr::null_mut() } else { bpf_sk_fullsock(socket) }
        }
    }

    /// Is its socket a listener? (Then the cookie says nothing of the connection.)
    #[inline(always)]
    pub fn socket_listens(self) -> bool {
        // SAFETY: the verifier proves both null checks.
        unsafe {
            let socket = (*self.0).__bindgen_anon_2.sk;
            if socket.is_null() {
                return false;
            }
            let full = bpf_sk_fullsock(socket);
            !full.is_null() && (*full).state == STATE_LISTEN
        }
    }

    /// Copies payload to `to`.
    ///
    /// # Safety
    /// `to` must have room for `len` bytes, and the verifier must see that it has.
    #[inline(always)]
    pub unsafe fn copy(self, at: u32, to: *mut u8, len: u64) -> bool {
        // SAFETY: the caller's promise.
        unsafe { bpf_skb_load_bytes(self.0.cast(), at, to.cast(), len as u32) == 0 }
    }

    #[inline(always)]
    fn len(self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.0).len }
    }

    /// Reads words at `at`, as they lie in the packet: directly where they are in the linear part of the skb, as headers
    /// usually are, else by helper.
    #[inline(always)]
    fn words<const N: usize>(self, at: u32) -> Result<[u32; N], DropReason> {
        let mut words = [0; N];
        let len = size_of::<[u32; N]>();
        // SAFETY: the comparison with `data_end` is the bounds check, which the verifier insists on.
        unsafe {
            let from = (*self.0).data as usize + (at & OFFSET_MASK) as usize;
            if from + len <= (*self.0).data_end as usize {
                for (index, word) in words.iter_mut().enumerate() {
                    *word = load_word(from + index * size_of::<u32>());
                }
                return Ok(words);
            }
            if bpf_skb_load_bytes(self.0.cast(), at, words.as_mut_ptr().cast(), len as u32) == 0 {
                Ok(words)
            } else {
                Err(DropReason::Unparseable)
            }
        }
    }

    /// Reads a few bytes of what is rare: tags and extension headers.
    #[inline(always)]
    fn bytes<const N: usize>(self, at: u32) -> Result<[u8; N], DropReason> {
        let mut bytes = [0; N];
        // SAFETY: the array has room for its length.
        if unsafe { bpf_skb_load_bytes(self.0.cast(), at, bytes.as_mut_ptr().cast(), N as u32) } == 0 {
            Ok(bytes)
        } else {
            Err(DropReason::Unparseable)
        }
    }

    /// Finds the network header: its ethertype and its place.
    #[inline(always)]
    fn network(self, link: Link) -> Result<(u16, u32), Skip> {
        // SAFETY: as above.
        let mut ethertype = u16::from_be(unsafe { (*self.0).protocol } as u16);
        let mut at = match link {
            Link::Ethernet => 14,
            Link::Raw => 0,
        };
        for _ in 0..VLAN_TAGS_MAX {
            if ethertype != ETHERTYPE_VLAN && ethertype != ETHERTYPE_QINQ {
                break;
            }
            ethertype = u16::from_be_bytes(self.bytes(at + 2)?);
            at += 4;
        }
        Ok((ethertype, at))
    }

    /// Reads the headers of a TCP packet into `event` (key, numbers, flags, window, payload length) and says where its payload
    /// begins.
    #[inline(always)]
    pub fn parse(self, link: Link, event: &mut SegmentEvent) -> Result<u32, Skip> {
        let (ethertype, at) = self.network(link)?;
        let span = match ethertype {
            ETHERTYPE_IPV4 => self.ipv4(at, &mut event.key)?,
            ETHERTYPE_IPV6 => self.ipv6(at, &mut event.key)?,
            _ => return Err(Skip::NotTcp),
        };
        let [ports, seq, ack, rest, _]: TcpHeader = self.words(span.tcp_at)?;
        let (ports, rest) = (u32::from_be(ports), u32::from_be(rest));
        let header_len = (rest >> 28) * 4;
        let payload_at = span.tcp_at + header_len;
        if header_len < 20 || payload_at > span.end {
            return Err(DropReason::Unparseable.into());
        }
        event.key.source_port = (ports >> 16) as u16;
        event.key.destination_port = ports as u16;
        event.seq = u32::from_be(seq);
        event.ack = u32::from_be(ack);
        event.flags = (rest >> 16) as u8;
        event.window = rest as u16;
        event.payload_len = span.end - payload_at;
        Ok(payload_at)
    }

    #[inline(always)]
    fn ipv4(self, at: u32, key: &mut TupleKey) -> Result<Span, Skip> {
        let [lengths, fragment, protocol, source, destination]: Ipv4Header = self.words(at)?;
        let (lengths, fragment, protocol) = (u32::from_be(lengths), u32::from_be(fragment), u32::from_be(protocol));
        if (protocol >> 16) as u8 != PROTOCOL_TCP {
            return Err(Skip::NotTcp);
        }
        // "More fragments" or an offset.
        if fragment & 0x3fff != 0 {
            return Err(DropReason::Fragment.into());
        }
        let header_len = (lengths >> 24 & 0xf) * 4;
        if header_len < 20 {
            return Err(DropReason::Unparseable.into());
        }
        map_ipv4(&mut key.source, source);
        map_ipv4(&mut key.destination, destination);
        let end = self.packet_end(at, lengths & 0xffff)?;
        Ok(Span { tcp_at: at + header_len, end })
    }

    #[inline(always)]
    fn ipv6(self, at: u32, key: &mut TupleKey) -> Result<Span, Skip> {
        let [_, lengths, s0, s1, s2, s3, d0, d1, d2, d3]: Ipv6Header = self.words(at)?;
        let lengths = u32::from_be(lengths);
        let tcp_at = self.skip_extensions((lengths >> 8) as u8, at + size_of::<Ipv6Header>() as u32)?;
        put_ipv6(&mut key.source, [s0, s1, s2, s3]);
        put_ipv6(&mut key.destination, [d0, d1, d2, d3]);
        let payload_length = lengths >> 16;
        let total = if payload_length == 0 { 0 } else { payload_length + size_of::<Ipv6Header>() as u32 };
        let end = self.packet_end(at, total)?;
        Ok(Span { tcp_at, end })
    }

    /// Walks IPv6 extension headers (RFC 8200 section 4) to the TCP header.
    #[inline(always)]
    fn skip_extensions(self, first: u8, first_at: u32) -> Result<u32, Skip> {
        let (mut next, mut at) = (first, first_at);
        for _ in 0..EXTENSIONS_MAX {
            let length = match next {
                PROTOCOL_TCP => return Ok(at),
                PROTOCOL_HOP_BY_HOP | PROTOCOL_ROUTING | PROTOCOL_DESTINATION | PROTOCOL_MOBILITY => {
                    (u32::from(self.bytes::<2>(at)?[1]) + 1) * 8
                }
                // Counted in units of four bytes, minus two (RFC 4302 section 2.2).
                PROTOCOL_AUTHENTICATION => (u32::from(self.bytes::<2>(at)?[1]) + 2) * 4,
                PROTOCOL_FRAGMENT => {
                    let [following, _, high, low] = self.bytes::<4>(at)?;
                    // An "atomic" fragment is whole (RFC 6946).
                    if high != 0 || low & 0xf9 != 0 {
                        let tcp = following == PROTOCOL_TCP;
                        return Err(if tcp { DropReason::Fragment.into() } else { Skip::NotTcp });
                    }
                    8
                }
                _ => return Err(Skip::NotTcp),
            };
            next = self.bytes::<2>(at)?[0];
            at = (at + length) & OFFSET_MASK;
        }
        if next == PROTOCOL_TCP { Ok(at) } else { Err(Skip::NotTcp) }
    }

    /// Where the IP packet ends in the skb. A total length of 0 is big TCP: longer than the field can say.
    #[inline(always)]
    fn packet_end(self, at: u32, total: u32) -> Result<u32, DropReason> {
        let end = self.len();
        if total == 0 {
            Ok(end)
        } else if at + total <= end {
            Ok(at + total)
        } else {
            Err(DropReason::Unparseable)
        }
    }
}

/// Reads a word of the packet. Packets are aligned as the architecture needs it, which the verifier knows and the compiler
/// does not: of a plain read it would make one of each byte.
///
/// # Safety
/// The verifier must see that four bytes of the packet are at `from`.
#[inline(always)]
unsafe fn load_word(from: usize) -> u32 {
    let word: u64;
    // SAFETY: the caller's promise.
    unsafe {
        asm!("{word} = *(u32 *)({from} + 0)", word = out(reg) word, from = in(reg) from, options(pure, readonly, nostack));
    }
    word as u32
}

/// `::ffff:a.b.c.d` (RFC 4291 section 2.5.5.2), of an address as it lies in memory.
#[inline(always)]
pub fn map_ipv4(to: &mut [u8; 16], address: u32) {
    put_ipv6(to, [0, 0, 0xffff_u32.to_be(), address]);
}

/// An address of four words as they lie in memory.
#[inline(always)]
pub fn put_ipv6(to: &mut [u8; 16], words: [u32; 4]) {
    // SAFETY: sixteen bytes each; no alignment is asked for.
    unsafe { to.as_mut_ptr().cast::<[u32; 4]>().write_unaligned(words) };
}

/// An address in a program's context, read word by word: the verifier takes no other access to it.
///
/// # Safety
/// It must be there.
#[inline(always)]
pub unsafe fn context_words(words: *const [u32; 4]) -> [u32; 4] {
    let words = words.cast::<u32>();
    // SAFETY: the caller's promise.
    unsafe {
        [
            words.read_volatile(),
            words.add(1).read_volatile(),
            words.add(2).read_volatile(),
            words.add(3).read_volatile(),
        ]
    }
}
