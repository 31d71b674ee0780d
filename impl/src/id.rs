//! Small types for the things that are numbered, so that they cannot be swapped.

/// Most CPUs the structures have room for. A cpumask is then one byte of a word and of an event.
pub const NR_CPUS: usize = 8;
/// Slots for address spaces.
pub const NR_MMS: usize = 8;
/// Frames: each mm slot owns one 4 KiB frame (behind its pte) and one compound frame (behind its huge pmd).
pub const NR_FRAMES: usize = 2 * NR_MMS;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident < $limit:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
        pub struct $name(pub u8);

        impl $name {
            /// The number as an array index; always below the limit of its kind for ids the crate hands out.
            pub const fn index(self) -> usize {
                self.0 as usize
            }

            /// The id with this index, or `None` past the last one.
            pub const fn new(index: usize) -> Option<Self> {
                if index < $limit { Some(Self(index as u8)) } else { None }
            }
        }
    };
}

id! {
    /// A CPU, as `smp_processor_id()` counts them.
    CpuId < NR_CPUS
}
id! {
    /// An address space slot, what a `struct mm_struct *` names.
    MmId < NR_MMS
}
id! {
    /// A page frame (or compound page) that an entry can map.
    FrameId < NR_FRAMES
}

impl core::fmt::Display for CpuId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "CPU{}", self.0)
    }
}
impl core::fmt::Display for MmId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "mm{}", self.0)
    }
}
impl core::fmt::Display for FrameId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "frame{}", self.0)
    }
}

/// A set of CPUs: `mm_cpumask`, the acknowledgements outstanding, the IPIs pending (`struct cpumask`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(into = "CpuList", try_from = "CpuList")
)]
pub struct CpuMask(pub u8);

impl CpuMask {
    /// No CPU.
    pub const EMPTY: Self = Self(0);

    /// The mask with only this CPU (`cpumask_of`).
    pub const fn of(cpu: CpuId) -> Self {
        Self(1 << cpu.0)
    }

    /// The mask in the low bits of a word.
    pub const fn from_word(word: u64) -> Self {
        Self(word as u8)
    }

    /// As the low bits of a word.
    pub const fn word(self) -> u64 {
        self.0 as u64
    }

    /// The first `n` CPUs.
    pub const fn first(n: usize) -> Self {
        Self(((1u16 << n) - 1) as u8)
    }

    /// Whether nobody is in it (`cpumask_empty`).
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this CPU is in it (`cpumask_test_cpu`).
    pub const fn contains(self, cpu: CpuId) -> bool {
        self.0 >> cpu.0 & 1 == 1
    }

    /// Without this CPU (`cpumask_andnot(.., cpumask_of(cpu))`).
    pub const fn without(self, cpu: CpuId) -> Self {
        Self(self.0 & !(1 << cpu.0))
    }

    /// With this CPU too.
    pub const fn with(self, cpu: CpuId) -> Self {
        Self(self.0 | 1 << cpu.0)
    }

    /// The CPUs in ascending order (`for_each_cpu`).
    pub fn iter(self) -> impl Iterator<Item = CpuId> {
        (0..NR_CPUS as u8)
            .map(CpuId)
            .filter(move |&c| self.contains(c))
    }
}

impl core::fmt::Debug for CpuMask {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_set().entries(self.iter().map(|c| c.0)).finish()
    }
}

/// A [`CpuMask`] as it is written to disk: the list of its CPUs.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
struct CpuList(std::vec::Vec<u8>);

#[cfg(feature = "serde")]
impl From<CpuMask> for CpuList {
    fn from(mask: CpuMask) -> Self {
        Self(mask.iter().map(|c| c.0).collect())
    }
}

#[cfg(feature = "serde")]
impl TryFrom<CpuList> for CpuMask {
    type Error = std::string::String;

    fn try_from(list: CpuList) -> Result<Self, Self::Error> {
        list.0
            .iter()
            .try_fold(CpuMask::EMPTY, |mask, &c| match CpuId::new(c.into()) {
                Some(cpu) => Ok(mask.with(cpu)),
                None => Err(std::format!(
                    "there is no CPU {c}, at most {NR_CPUS} are known"
                )),
            })
    }
}
