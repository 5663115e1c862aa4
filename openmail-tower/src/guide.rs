//! The guide, page by page. The [crate's page](crate#pages) lists the question that each page
//! answers.

#[doc = include_str!("../docs/coming_from.md")]
pub mod coming_from {}

#[doc = include_str!("../docs/deployment.md")]
pub mod deployment {}

#[doc = include_str!("../docs/guarantees.md")]
pub mod guarantees {}

#[doc = include_str!("../docs/operating.md")]
pub mod operating {}

#[doc = include_str!("../docs/options.md")]
pub mod options {}

#[doc = include_str!("../docs/safety.md")]
pub mod safety {}

#[doc = include_str!("../docs/serverless.md")]
pub mod serverless {}

#[doc = include_str!("../docs/testing.md")]
pub mod testing {}
