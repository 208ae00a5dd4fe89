//! What a future holds: its own memory, and that of the futures and objects that it has boxed.
//!
//! A guard of a lock, a permit, an entry of a map refers to the thing that it keeps from others. Whoever waits for that thing
//! has its address at hand as well. So the holder of a lock, which no lock remembers, is found in the memory of those
//! who do not wait for it.

/// The memory that belongs to a future, as it was at one moment. It may have changed under the read: words that two reads
/// agree on are as good as it gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reach {
    /// The future itself first, then what it has boxed.
    pub objects: Vec<Object>,
    /// It holds more than was followed.
    pub cut: bool,
}

/// One allocation, or the future itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Object {
    /// Where it lies.
    pub address: u64,
    /// Its words, as far as they may be pointers or numbers of that size; 16 KiB at most.
    pub words: Vec<u64>,
    /// The function that drops it, whose name tells its type; `None` where that is not known.
    pub drop_glue: Option<u64>,
    /// What it is boxed as says how large it is. `false`: only the allocator does, and it may be
    /// shared with others.
    pub is_owned: bool,
}

impl Object {
    /// Whether an address lies in it.
    pub fn contains(&self, address: u64) -> bool {
        let size = self.words.len() as u64 * size_of::<u64>() as u64;
        (self.address..self.address.saturating_add(size)).contains(&address)
    }
}

impl Reach {
    /// The object that an address lies in.
    pub fn object_at(&self, address: u64) -> Option<&Object> {
        self.objects.iter().find(|object| object.contains(address))
    }
}
