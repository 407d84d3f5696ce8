//! The net change of one key: what was there before the ledger, what is there after it, and what may follow on what.

/// What a change did to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Created,
    Updated,
    Removed,
    Restored,
    Evicted,
}

impl Kind {
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "created" => Kind::Created,
            "updated" => Kind::Updated,
            "removed" => Kind::Removed,
            "restored" => Kind::Restored,
            "evicted" => Kind::Evicted,
            _ => return None,
        })
    }
}

/// The phases of a ledger whose changes do not stand in the order in which they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// What is done before a transaction's operations. In a parallel phase (protocol 23) core does it for all its
    /// transactions before the operations of any of them, yet it is listed transaction by transaction.
    TxBefore,
    /// Operations. Those of a parallel phase that only read an entry prolong its life without seeing each other.
    Operation,
    /// All other phases.
    Other,
}

impl Phase {
    pub fn named(name: &str) -> Self {
        match name {
            "tx_before" => Phase::TxBefore,
            "operation" => Phase::Operation,
            _ => Phase::Other,
        }
    }
}

/// One change of one key, its images borrowed from the batch.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    pub index: i64,
    pub kind: Kind,
    pub phase: Phase,
    /// The key is that of a TTL.
    pub is_ttl: bool,
    pub pre: Option<&'a [u8]>,
    pub post: Option<&'a [u8]>,
}

/// The entry before the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before<'a> {
    /// There was none.
    Absent,
    /// It was this one.
    Known(&'a [u8]),
    /// Nothing tells whether there was one: a restored or evicted entry without its former image.
    Unknown,
}

/// An operation that found another image than was left so far: what is done before a later transaction must explain it.
pub struct Gap<'a> {
    from: &'a [u8],
    to: &'a [u8],
    pub first: i64,
    pub second: i64,
}

/// All changes of one key so far.
pub struct Net<'a> {
    pub before: Before<'a>,
    /// The image that the last change found.
    found: Option<&'a [u8]>,
    pub gap: Option<Gap<'a>>,
    /// The entry now; none when the key has left.
    pub now: Option<&'a [u8]>,
    pub evicted: bool,
    pub restored: bool,
    pub first: i64,
    pub last: i64,
}

impl<'a> Net<'a> {
    /// Takes the first change of a key.
    ///
    /// # Errors
    /// Says why the change cannot be, in words that follow on the name of its kind.
    pub fn begin(change: &Change<'a>) -> Result<Self, &'static str> {
        check_form(change)?;
        let before = match (change.kind, change.pre) {
            (Kind::Created, _) => Before::Absent,
            (_, Some(image)) => Before::Known(image),
            (_, None) => Before::Unknown,
        };
        Ok(Self {
            before,
            found: change.pre,
            gap: None,
            now: change.post,
            evicted: change.kind == Kind::Evicted,
            restored: change.kind == Kind::Restored,
            first: change.index,
            last: change.index,
        })
    }

    /// Takes the next change of the key.
    ///
    /// # Errors
    /// Says why the change cannot follow on the one before, in words that follow on the name of its kind.
    pub fn follow(&mut self, change: &Change<'a>) -> Result<(), &'static str> {
        check_form(change)?;
        match (change.kind, self.now) {
            (Kind::Created, Some(_)) => return Err("although it exists"),
            (Kind::Updated | Kind::Removed, None) => return Err("although it has been removed"),
            _ => {}
        }
        match (change.pre, self.now) {
            (Some(_), None) => return Err("with an image from before it was removed"),
            (Some(pre), Some(now)) if pre != now => return self.follow_elsewhere(change, pre, now),
            _ => {}
        }
        self.take(change);
        Ok(())
    }

    /// Takes a change that found another image than the change listed before it left.
    fn follow_elsewhere(&mut self, change: &Change<'a>, pre: &'a [u8], now: &'a [u8]) -> Result<(), &'static str> {
        const WHY: &str = "with another image than it was left with";
        match (change.kind, change.phase, change.post) {
            (Kind::Updated, Phase::TxBefore, Some(post)) => self.precede(pre, post).ok_or(WHY)?,
            (Kind::Updated, Phase::Operation, Some(post)) if change.is_ttl && self.found == Some(pre) => {
                // Neither saw the other: the longer life holds.
                self.now = Some(if live_until(post) > live_until(now) { post } else { now });
            }
            (_, Phase::Operation, _) if self.gap.is_none() => {
                self.gap = Some(Gap {
                    from: now,
                    to: pre,
                    first: self.last,
                    second: change.index,
                });
                self.take(change);
            }
            _ => return Err(WHY),
        }
        self.last = change.index;
        Ok(())
    }

    /// Puts a change where it was made: into the gap that an operation left, or in front of all changes.
    fn precede(&mut self, pre: &'a [u8], post: &'a [u8]) -> Option<()> {
        if let Some(gap) = self.gap.as_mut().filter(|gap| gap.from == pre) {
            gap.from = post;
            if gap.from == gap.to {
                self.gap = None;
            }
        } else if self.before == Before::Known(post) {
            self.before = Before::Known(pre);
        } else if pre != post {
            return None;
        }
        Some(())
    }

    fn take(&mut self, change: &Change<'a>) {
        self.found = change.pre.or(self.now);
        self.now = change.post;
        self.evicted |= change.kind == Kind::Evicted;
        self.restored |= change.kind == Kind::Restored;
        self.last = change.index;
    }

    /// Says whether anything is left of the changes: an entry that came and went within the ledger is nothing.
    pub fn is_nothing(&self) -> bool {
        self.now.is_none() && self.before == Before::Absent
    }
}

/// The last ledger of a TTL entry's life: behind its last modification, its type and the hash that it names.
fn live_until(entry: &[u8]) -> Option<[u8; 4]> {
    entry.get(40..44).and_then(|bytes| bytes.try_into().ok())
}

/// Checks that a change has the images of its kind.
fn check_form(change: &Change) -> Result<(), &'static str> {
    match (change.kind, change.pre, change.post) {
        (Kind::Created, Some(_), _) => Err("although an image shows that it exists"),
        (Kind::Created | Kind::Updated | Kind::Restored, _, None) => Err("without the entry that it becomes"),
        (Kind::Removed | Kind::Evicted, _, Some(_)) => Err("with an entry that it should have left without"),
        _ => Ok(()),
    }
}
