//! Buffers the body as it arrives.

use std::task::{Context, Poll};

use bytes::Bytes;

use super::{
    budget::{Reservation, SMALL},
    rejection::{Rejection, RejectionKind},
};

/// Collects frames into contiguous bytes. A single frame is kept as it is; several are copied into
/// one allocation. Its size follows what has arrived, at most twice that. `Content-Length` can only
/// limit it, never enlarge it.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Pieces,
    limit: usize,
    declared: Option<usize>,
    reservation: Reservation,
}

#[derive(Debug)]
enum Pieces {
    One(Bytes),
    Many(Vec<u8>),
}

impl Buffer {
    pub(super) fn new(limit: usize, declared: Option<usize>, reservation: Reservation) -> Self {
        Self { bytes: Pieces::One(Bytes::new()), limit, declared, reservation }
    }

    pub(super) fn len(&self) -> usize {
        match &self.bytes {
            Pieces::One(bytes) => bytes.len(),
            Pieces::Many(bytes) => bytes.len(),
        }
    }

    pub(super) fn reservation(&mut self) -> &mut Reservation {
        &mut self.reservation
    }

    /// Refuses a frame that would make the body too large.
    pub(super) fn check(&self, frame: usize) -> Result<(), Rejection> {
        let length = self.len().saturating_add(frame);
        if length > self.limit { Err(RejectionKind::BodyTooLarge.into()) } else { Ok(()) }
    }

    /// Reserves room for a frame; `false` if there is none now.
    pub(super) fn try_grow(&mut self, frame: usize) -> bool {
        let total = self.capacity_with(frame);
        self.reservation.try_grow(total)
    }

    /// Waits for room for a frame; `false` if there will never be enough.
    pub(super) fn poll_grow(&mut self, cx: &mut Context<'_>, frame: usize) -> Poll<bool> {
        let total = self.capacity_with(frame);
        self.reservation.poll_grow(cx, total)
    }

    /// Appends a frame for which room was reserved.
    pub(super) fn append(&mut self, frame: Bytes) {
        let capacity = self.capacity_with(frame.len());
        match &mut self.bytes {
            Pieces::One(first) if first.is_empty() => self.bytes = Pieces::One(frame),
            Pieces::One(first) => {
                let mut bytes = Vec::with_capacity(capacity);
                bytes.extend_from_slice(first);
                bytes.extend_from_slice(&frame);
                self.bytes = Pieces::Many(bytes);
            }
            Pieces::Many(bytes) => {
                bytes.reserve_exact(capacity - bytes.len());
                bytes.extend_from_slice(&frame);
            }
        }
    }

    /// Returns the capacity once a frame is added.
    fn capacity_with(&self, frame: usize) -> usize {
        let length = self.len() + frame;
        let capacity = match &self.bytes {
            Pieces::One(first) if first.is_empty() => return length,
            Pieces::One(_) => 0,
            Pieces::Many(bytes) => bytes.capacity(),
        };
        if length <= capacity {
            return capacity;
        }
        // A small body must not leave the part of the budget for small bodies.
        let ample = if length <= SMALL { SMALL.min(length * 2) } else { length.saturating_mul(2) };
        ample.min(self.declared.unwrap_or(self.limit)).max(length)
    }

    pub(super) fn finish(self) -> (Bytes, Reservation) {
        let bytes = match self.bytes {
            Pieces::One(bytes) => bytes,
            Pieces::Many(bytes) => bytes.into(),
        };
        (bytes, self.reservation)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::budget::Budget, *};

    fn buffer(limit: usize, declared: Option<usize>) -> Buffer {
        Buffer::new(limit, declared, Budget::new(1 << 30).reservation(declared))
    }

    fn push(buffer: &mut Buffer, frame: Bytes) {
        assert!(buffer.try_grow(frame.len()));
        buffer.append(frame);
        let capacity = match &buffer.bytes {
            Pieces::One(bytes) => bytes.len(),
            Pieces::Many(bytes) => bytes.capacity(),
        };
        assert_eq!(buffer.reservation.bytes(), capacity);
    }

    #[test]
    fn does_not_copy_a_single_frame() {
        let frame = Bytes::from(vec![7; 100]);
        let mut buffer = buffer(100, None);
        push(&mut buffer, frame.clone());
        assert_eq!(buffer.finish().0.as_ptr(), frame.as_ptr());
    }

    #[test]
    fn joins_frames_in_order() {
        for declared in [None, Some(9), Some(3), Some(usize::MAX)] {
            let mut buffer = buffer(100, declared);
            for frame in ["abc", "d", "ef", "ghi"] {
                push(&mut buffer, Bytes::from(frame));
            }
            assert_eq!(buffer.finish().0, "abcdefghi");
        }
    }

    #[test]
    fn limit_is_inclusive() {
        let mut buffer = buffer(4, None);
        push(&mut buffer, Bytes::from("abc"));
        assert!(buffer.check(1).is_ok());
        assert_eq!(buffer.check(2).unwrap_err().kind(), RejectionKind::BodyTooLarge);
        assert_eq!(buffer.check(usize::MAX).unwrap_err().kind(), RejectionKind::BodyTooLarge);
    }

    #[test]
    fn capacity_follows_what_arrived_not_what_was_declared() {
        let mut buffer = buffer(1 << 20, Some(1 << 20));
        for _ in 0..2 {
            push(&mut buffer, Bytes::from(vec![0; 10]));
        }
        let Pieces::Many(bytes) = &buffer.bytes else { panic!() };
        assert_eq!(bytes.capacity(), 40);
    }
}
