//! The sets that the admin plane counts by.

use super::LabelValue;

label_enum! {
    /// Why the admin plane refused a call or a connection.
    AdminRefusal {
        /// It carried no token where one is needed.
        NoToken => "no_token",
        /// It carried a token that is not valid.
        BadToken => "bad_token",
        /// The same, and too many had come from its address before.
        TooManyFailures => "too_many_failures",
        /// A viewer wanted to change something.
        NotAllowed => "not_allowed",
        /// `Host` names another machine.
        ForeignHost => "foreign_host",
        /// Another site's page wanted to change something.
        CrossSite => "cross_site",
        /// The call itself is wrong, or out of date.
        BadCall => "bad_call",
        /// The call was right and could not be done.
        Failed => "failed",
        /// No secure connection came about.
        Handshake => "handshake",
        /// The connection was closed to make room for another one.
        CrowdedOut => "crowded_out",
    }
}

label_enum! {
    /// A file of the admin plane that is read again while it runs.
    AdminFile {
        /// `admin.tokens_file`.
        Tokens => "tokens",
        /// Those of `admin.tls`.
        Tls => "tls",
    }
}
