/// Trace, span and flags of a `traceparent`: `VERSION-TRACE-PARENT-FLAGS` (W3C Trace Context section 3.2.2), of which neither id is
/// zero. A later version may have more after that (section 4.3).
pub fn traceparent(text: &[u8]) -> Option<([u8; 16], [u8; 8], u8)> {
    if text.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let mut parts = text.split(|byte| *byte == b'-');
    let mut next = || parts.next();
    let (version, trace, span, flags) = (next()?, next()?, next()?, next()?);
    let [version] = from_hex(version)?;
    let more = parts.next().is_some();
    if version == 0xff || (version == 0 && more) {
        return None;
    }
    let (trace, span, [flags]) = (from_hex(trace)?, from_hex(span)?, from_hex(flags)?);
    (trace != [0; 16] && span != [0; 8]).then_some((trace, span, flags))
}

/// So many bytes, in hexadecimal digits and nothing else.
pub fn from_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(text.as_chunks().0) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?;
    }
    Some(bytes)
}
