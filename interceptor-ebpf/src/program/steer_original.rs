//! getsockopt: SO_ORIGINAL_DST, as netfilter answers it, and its twin for IPv6. So any proxy that knows the option finds where
//! a steered connection was going.

use aya_ebpf::{bindings::bpf_sock, macros::cgroup_sockopt, programs::SockoptContext};
use interceptor_common::{SocketAddress, Steered, SteeredKey};

use crate::{
    maps::ORIGINALS,
    packet::{AF_INET, map_ipv4, put_ipv6},
    zone,
};

/// Hands on what the kernel answers, or what the program has put in its place.
const GO_ON: i32 = 1;

const SOL_IP: i32 = 0;
const SOL_IPV6: i32 = 41;
/// `SO_ORIGINAL_DST` and `IP6T_SO_ORIGINAL_DST`.
const ORIGINAL_DST: i32 = 80;

const AF_INET6: u16 = 10;

/// `struct sockaddr_in`
#[repr(C)]
struct Address4 {
    family: u16,
    port: u16,
    address: [u8; 4],
    zero: [u8; 8],
}

/// `struct sockaddr_in6`
#[repr(C)]
struct Address6 {
    family: u16,
    port: u16,
    flow: u32,
    address: [u8; 16],
    scope: u32,
}

#[cgroup_sockopt(getsockopt)]
pub fn steer_original(context: SockoptContext) -> i32 {
    // SAFETY: the context is valid for the run of the program; so below.
    let (level, option) = unsafe { ((*context.sockopt).level, (*context.sockopt).optname) };
    if option == ORIGINAL_DST && (level == SOL_IP || level == SOL_IPV6) {
        // SAFETY: as above.
        let socket = unsafe { (*context.sockopt).__bindgen_anon_1.sk };
        if !socket.is_null()
            // SAFETY: values are replaced, never changed in place.
            && let Some(steered) = unsafe { ORIGINALS.get(key(socket)) }
        {
            answer(&context, level, steered);
        }
    }
    GO_ON
}

#[inline(always)]
fn answer(context: &SockoptContext, level: i32, steered: &Steered) {
    let SocketAddress { address, port, .. } = steered.destination;
    if level == SOL_IP {
        let [.., a, b, c, d] = address;
        let answer = Address4 { family: AF_INET as u16, port: port.to_be(), address: [a, b, c, d], zero: [0; 8] };
        put(context, answer);
    } else {
        let answer = Address6 { family: AF_INET6, port: port.to_be(), flow: 0, address, scope: 0 };
        put(context, answer);
    }
}

/// Into what the caller gave, if there is room for all of it.
#[inline(always)]
fn put<T>(context: &SockoptContext, answer: T) {
    // SAFETY: as above.
    let (to, end) = unsafe {
        (
            (*context.sockopt).__bindgen_anon_2.optval.cast::<T>(),
            (*context.sockopt).__bindgen_anon_3.optval_end.cast::<T>(),
        )
    };
    // SAFETY: an address one past it, which is only compared.
    if unsafe { to.add(1) } > end {
        return;
    }
    // SAFETY: there is room. Volatile: merged into one store the last two would be refused.
    unsafe {
        to.write_unaligned(answer);
        (&raw mut (*context.sockopt).optlen).write_volatile(size_of::<T>() as i32);
        (&raw mut (*context.sockopt).retval).write_volatile(0);
    }
}

/// The other end of the proxy's socket.
#[inline(always)]
fn key(socket: *mut bpf_sock) -> SteeredKey {
    let mut client = SocketAddress::default();
    // SAFETY: checked for null by the caller. All is read, and each place by itself: the verifier allows no arithmetic on the
    // pointer, and out of two reads in two branches the compiler would make one at a place that it works out.
    let (family, ip4, ip6, port) = unsafe {
        (
            (&raw const (*socket).family).read_volatile(),
            (&raw const (*socket).dst_ip4).read_volatile(),
            [
                (&raw const (*socket).dst_ip6[0]).read_volatile(),
                (&raw const (*socket).dst_ip6[1]).read_volatile(),
                (&raw const (*socket).dst_ip6[2]).read_volatile(),
                (&raw const (*socket).dst_ip6[3]).read_volatile(),
            ],
            (&raw const (*socket).dst_port).read_volatile(),
        )
    };
    if family == AF_INET {
        map_ipv4(&mut client.address, ip4);
    } else {
        put_ipv6(&mut client.address, ip6);
    }
    client.port = u16::from_be(port);
    SteeredKey { client, zone: zone::where_is(socket) }
}
