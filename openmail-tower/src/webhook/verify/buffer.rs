//! The body as it arrives.

use std::task::{Context, Poll};

use bytes::Bytes;

use super::{
    budget::Reservation,
    rejection::{Rejection, RejectionKind},
};

/// Collects frames into one piece. A single frame is kept as it is; more are copied into one
/// allocation that grows with what has arrived, to twice its size at most, and never on the word of
/// `Content-Length`: that only keeps it from growing too far.
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

    /// Refuses a frame that makes the body too large.
    pub(super) fn check(&self, frame: usize) -> Result<(), Rejection> {
        let length = self.len().saturating_add(frame);
        if length > self.limit { Err(RejectionKind::BodyTooLarge.into()) } else { Ok(()) }
    }

    /// Reserves room for a frame; false where that is not to be had at once.
    pub(super) fn try_grow(&mut self, frame: usize) -> bool {
        let total = self.capacity_with(frame);
        self.reservation.try_grow(total)
    }

    /// Waits for room for a frame; false where there will never be enough.
    pub(super) fn poll_grow(&mut self, cx: &mut Context<'_>, frame: usize) -> Poll<bool> {
        let total = self.capacity_with(frame);
        self.reservation.poll_grow(cx, total)
    }

    /// Adds a frame that there is room for.
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

    /// How much is held once a frame is added.
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
        length.saturating_mul(2).min(self.declared.unwrap_or(self.limit)).max(length)
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
    fn one_frame_is_not_copied() {
        let frame = Bytes::from(vec![7; 100]);
        let mut buffer = buffer(100, None);
        push(&mut buffer, frame.clone());
        assert_eq!(buffer.finish().0.as_ptr(), frame.as_ptr());
    }

    #[test]
    fn many_frames_are_joined_in_order() {
        for declared in [None, Some(9), Some(3), Some(usize::MAX)] {
            let mut buffer = buffer(100, declared);
            for frame in ["abc", "d", "ef", "ghi"] {
                push(&mut buffer, Bytes::from(frame));
            }
            assert_eq!(buffer.finish().0, "abcdefghi");
        }
    }

    #[test]
    fn the_limit_is_inclusive() {
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
