//! Guides, page by page.
//!
//! | page | answers |
//! |---|---|
//! | [`coming_from`] | How does the receiver of OpenMail's guide, in Express or Flask, look here? |
//! | [`testing`] | How do I test handlers, a receiver and an agent? |
//! | [`guarantees`] | What happens when a handler, a process, a machine or a store fails? |
//! | [`operating`] | What do I watch, how do I rotate a secret, and what does this symptom mean? |
//! | [`safety`] | What is enforced outside the model, and how do I give an agent tools? |
//! | [`deployment`] | What do I set on Render, Railway, Fly.io or in a container, and how many replicas may there be? |
//! | [`serverless`] | What works on AWS Lambda and Vercel? |

#[doc = include_str!("../docs/coming_from.md")]
pub mod coming_from {}

#[doc = include_str!("../docs/deployment.md")]
pub mod deployment {}

#[doc = include_str!("../docs/guarantees.md")]
pub mod guarantees {}

#[doc = include_str!("../docs/operating.md")]
pub mod operating {}

#[doc = include_str!("../docs/safety.md")]
pub mod safety {}

#[doc = include_str!("../docs/serverless.md")]
pub mod serverless {}

#[doc = include_str!("../docs/testing.md")]
pub mod testing {}
