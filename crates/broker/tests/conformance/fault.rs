//! What an engine can do wrong, so that the suite can be seen to find it.

/// One wrong habit of the reference engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Fault {
    /// None: the engine keeps the port's contracts.
    #[default]
    None,
    /// A crash loses the newest record.
    LosesTailInCrash,
    /// Settling a record settles all before it.
    SettlesUpTo,
    /// A dropped receipt counts as settled.
    DropMeansDone,
    /// A record given back goes to the end.
    GivesBackLast,
    /// A record for nowhere is confirmed.
    ConfirmsUnroutable,
    /// A record that one group would not get is confirmed.
    ConfirmsWithoutGroup,
    /// A record of any size is stored.
    StoresOversized,
    /// Outputs before the refused one are published.
    PublishesBeforeRefusal,
    /// Inputs are settled in one step, outputs published in a later one.
    SettlesBeforePublishing,
    /// Delays are cut by a tenth.
    DelaysTooShort,
    /// Delays end 30 % and a second late.
    DelaysTooLong,
    /// Delays are forgotten in a crash.
    ForgetsDelaysInCrash,
    /// A batch is stored backwards.
    StoresBackwards,
    /// Receipts of an ended lease settle.
    HonoursStaleLeases,
    /// A lease passes without the records that were handed out.
    LosesHandedOutWithLease,
    /// A held channel flows.
    IgnoresHold,
    /// A channel gives more than its bound.
    IgnoresBound,
    /// A full channel stops the others.
    FullChannelStopsAll,
    /// A `next` that is dropped takes its records along.
    CancelledNextLoses,
    /// The lag leaves delayed records out.
    LagForgetsDelayed,
    /// Other settings are taken without a word.
    TakesOtherSettings,
    /// Verifying creates.
    VerifyCreates,
    /// A channel that holds records is removed without force.
    RemovesNonEmpty,
    /// A group added later begins at the newest record.
    NewGroupBeginsLate,
    /// Settled records stay for ever.
    KeepsSettled,
    /// Headers come sorted.
    SortsHeaders,
    /// Values are taken for text.
    TakesBytesForText,
    /// Keys move from partition to partition.
    MovesKeys,
    /// Only the first group gets a record.
    ServesOneGroup,
    /// What an observer sees is settled.
    ObservingSettles,
    /// Retention by age does not ask whether a record is settled.
    DropsUnsettledByAge,
    /// A consumer gets records of partitions it has no lease of.
    IgnoresLeases,
    /// What is settled while a lease is revoked comes again.
    ForgetsSettlingInRevoke,
}
