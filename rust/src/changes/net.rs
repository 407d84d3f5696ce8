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

/// One change of one key, its images borrowed from the batch.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    pub index: i64,
    pub kind: Kind,
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

/// All changes of one key so far.
pub struct Net<'a> {
    pub before: Before<'a>,
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
            (Some(pre), Some(now)) if pre != now => return Err("with another image than it was left with"),
            _ => {}
        }
        self.now = change.post;
        self.evicted |= change.kind == Kind::Evicted;
        self.restored |= change.kind == Kind::Restored;
        self.last = change.index;
        Ok(())
    }

    /// Says whether anything is left of the changes: an entry that came and went within the ledger is nothing.
    pub fn is_nothing(&self) -> bool {
        self.now.is_none() && self.before == Before::Absent
    }
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
