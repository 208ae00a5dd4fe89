//! Call stacks, innermost frame first.

use serde::{Deserialize, Serialize};

/// One call stack, or several samples of it folded into one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Stack {
    /// What kind of stack it is.
    pub kind: StackKind,
    /// How many samples had exactly these frames.
    pub samples: u32,
    /// `false` when the stack was deeper than what could be copied, or could not be followed.
    pub complete: bool,
    /// What a child is called, where it has a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where a child was made: `src/search.rs:12:5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spawned_at: Option<String>,
    /// Innermost first; inlined functions have frames of their own.
    pub frames: Vec<Frame>,
}

/// What kind of stack a [`Stack`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StackKind {
    /// A thread inside a poll.
    #[default]
    Thread,
    /// The chain of `async fn`s down to the leaf that a pending future waits at.
    Await,
    /// A child task or blocking closure.
    Task,
}

/// One frame of a [`Stack`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Frame {
    /// Demangled name without closure decoration, such as `app::search::matches`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Source file as the compiler wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in `file`, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column in `line`, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// File name of the executable or library.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// GNU build-id of the module in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// Address relative to the module's load bias: what a symbolizer wants with the file at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The compiler had put this function's body into its caller.
    #[serde(default, skip_serializing_if = "is_false")]
    pub inlined: bool,
    /// The user's own code: neither std, nor a registry crate, nor ours.
    #[serde(default, skip_serializing_if = "is_false")]
    pub user: bool,
}

fn is_false(b: &bool) -> bool {
    !b
}
