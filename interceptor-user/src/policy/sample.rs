use super::expression::{Expression, Fault, Scene, Value};
use crate::model::Sampled;

/// Which part of what matches is looked at.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The part: above 0 and up to 1.
    pub rate: f64,
    /// Exchanges with the same value are all in it or all not.
    pub key: Option<Expression>,
    /// Those of which this is true are in it in any case.
    pub always: Option<Expression>,
}

impl Sample {
    /// Is this exchange in the sample? None while it is not known.
    pub fn decide(&self, scene: &Scene<'_>) -> Option<Sampled> {
        let always = match &self.always {
            Some(always) => match always.test(scene) {
                Ok(true) => return Some(Sampled::Always),
                Err(Fault::Unknown) => None,
                Ok(false) | Err(_) => Some(()),
            },
            None => Some(()),
        };
        let drawn = match &self.key {
            Some(key) => match key.value(scene) {
                Ok(Value::String(text)) => hash(text.as_bytes()),
                Err(Fault::Unknown) => return None,
                Ok(_) | Err(_) => Self::own(scene),
            },
            None => Self::own(scene),
        };
        if self.takes(drawn) {
            return Some(Sampled::Rate);
        }
        always.map(|()| Sampled::Out)
    }

    pub(super) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.key.iter().chain(&self.always)
    }

    /// Of an exchange without a key.
    fn own(scene: &Scene<'_>) -> u64 {
        let [flow, number] = [scene.flow.id, scene.number].map(u64::to_le_bytes);
        hash([flow, number].as_flattened())
    }

    /// Hashes are spread evenly over 53 bits, which a double holds exactly.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    fn takes(&self, hash: u64) -> bool {
        ((hash >> 11) as f64) < self.rate * (1_u64 << 53) as f64
    }
}

/// FNV-1a, and the last step of MurmurHash3 to spread it. It is the same on every machine and in every version, so that the same key is
/// in the sample everywhere or nowhere.
fn hash(bytes: &[u8]) -> u64 {
    let fnv = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mixed = (fnv ^ (fnv >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}
