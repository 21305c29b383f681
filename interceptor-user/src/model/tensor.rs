use std::borrow::Cow;

/// Type of a tensor's elements, by the Open Inference Protocol's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the protocol's")]
pub enum Datatype {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Bf16,
    Fp32,
    Fp64,
    /// Strings too.
    Bytes,
}

impl Datatype {
    /// All of them, in the order of their values.
    pub const ALL: [Self; 14] = [
        Self::Bool,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Fp16,
        Self::Bf16,
        Self::Fp32,
        Self::Fp64,
        Self::Bytes,
    ];

    /// The protocol's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Fp16 => "FP16",
            Self::Bf16 => "BF16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    /// By the protocol's name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|datatype| datatype.name() == name)
    }

    /// Bytes of an element; None where each says its own.
    pub const fn size(self) -> Option<usize> {
        Some(match self {
            Self::Bool | Self::Uint8 | Self::Int8 => 1,
            Self::Uint16 | Self::Int16 | Self::Fp16 | Self::Bf16 => 2,
            Self::Uint32 | Self::Int32 | Self::Fp32 => 4,
            Self::Uint64 | Self::Int64 | Self::Fp64 => 8,
            Self::Bytes => return None,
        })
    }
}

/// Elements of a tensor, in row-major order, as far as they were read.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Values {
    /// None of them.
    #[default]
    Unread,
    /// Numbers; false and true are 0 and 1, one that is missing is NaN. Integers beyond 2^53 are rounded.
    Numbers(Vec<f64>),
    /// Strings; one that is missing is None.
    Strings(Vec<Option<String>>),
}

impl Values {
    /// How many were read.
    pub const fn len(&self) -> usize {
        match self {
            Self::Unread => 0,
            Self::Numbers(numbers) => numbers.len(),
            Self::Strings(strings) => strings.len(),
        }
    }

    /// None was read.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An input or output of a model: a tensor, or a column of a table, which has one dimension.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensor {
    /// Its name; empty where it has none.
    pub name: Cow<'static, str>,
    /// Type of its elements, where that is declared.
    pub datatype: Option<Datatype>,
    /// Its shape: as declared, else as nested.
    pub shape: Vec<i64>,
    /// Its elements.
    pub values: Values,
    /// It has more elements than were read.
    pub cut: bool,
}

impl Tensor {
    /// About the bytes of memory that it holds.
    pub fn memory(&self) -> usize {
        let values = match &self.values {
            Values::Unread => 0,
            Values::Numbers(numbers) => size_of_val(numbers.as_slice()),
            Values::Strings(strings) => {
                size_of_val(strings.as_slice()) + strings.iter().flatten().map(String::len).sum::<usize>()
            }
        };
        size_of::<Self>() + self.name.len() + size_of_val(self.shape.as_slice()) + values
    }

    /// How many elements its shape gives; None where a dimension is unknown (negative) or they are too many.
    pub fn elements(&self) -> Option<usize> {
        self.shape.iter().try_fold(1_usize, |product, size| product.checked_mul(usize::try_from(*size).ok()?))
    }
}
