//! The texts of which documents are made, each with its name. Where they come from is not known here.

/// One text.
#[derive(Clone, Debug)]
pub struct Source {
    /// What it is called in messages.
    pub name: String,
    /// All of it.
    pub text: String,
    /// How strong it is: what is written in a text of a higher rank replaces what stands in one of a lower.
    pub rank: u8,
}

/// All texts, in the order in which they were read.
#[derive(Clone, Debug, Default)]
pub struct Sources(pub Vec<Source>);

impl Sources {
    /// A text by its index, as places have it.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Source> {
        self.0.get(index)
    }

    /// The place of a text in the order of reading.
    pub(crate) fn position(&self, name: &str) -> usize {
        self.0.iter().position(|source| source.name == name).unwrap_or(usize::MAX)
    }
}
