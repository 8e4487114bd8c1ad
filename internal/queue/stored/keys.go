package stored

import (
	"hash/fnv"

	"postern/internal/mail"
	"postern/internal/queue"
)

// ID numbers the deliveries of a message.
func ID(seq int64, i int) queue.DeliveryID {
	return queue.DeliveryID(seq*queue.MaxDeliveries + int64(i))
}

// SeqOf is the message of a delivery.
func SeqOf(id queue.DeliveryID) int64 { return int64(id) / queue.MaxDeliveries }

// Slots is how many attempt rows a delivery can have numbers for; at most queue.HistoryKept are used.
const Slots = 16

// Place is which delivery of its message one is.
func Place(id queue.DeliveryID) int { return int(int64(id) % queue.MaxDeliveries) }

// AttemptSlot is the number of the row in which the newest attempt of a delivery stands, of so many that were made.
func AttemptSlot(id queue.DeliveryID, attempts int) int64 {
	return int64(id)*Slots + int64(queue.HistorySlot(attempts-1))
}

// KeyHash are the bits of an index key that hash what is searched; those above are the key's block.
const KeyHash = 1<<40 - 1

// KeyOf makes an index key that is near those of messages accepted about the same time, so that new mail touches few
// pages of an index however long it has grown: 23 bits of the block of 65,536 messages, 40 of hash. Two keys of one
// thing in one block are equal; equal keys need not be one thing, so whoever searches looks at the row too.
func KeyOf(seq, hash int64) int64 { return BlockOf(seq)<<40 | hash&KeyHash }

// BlockOf is the block of a message: the upper bits of its keys.
func BlockOf(seq int64) int64 { return seq >> 16 & (1<<23 - 1) }

// DayOf is what stood in place of the block up to form 3.
func DayOf(us int64) int64 { return max(us, 0) / (24 * 3600 * 1e6) & (1<<23 - 1) }

// AddressHash keeps a domain's addresses together: 16 bits of the domain, 24 of the address.
func AddressHash(a mail.Address) uint64 {
	return DomainHash(a.Domain.String()) | Hash(a.Folded())&(1<<24-1)
}

// DomainHash is the part of a domain in AddressHash.
func DomainHash(domain string) uint64 { return Hash(domain) & (1<<16 - 1) << 24 }

// Hash is 64 bits of a text (FNV-1a).
func Hash(text string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(text))
	sum := h.Sum64()
	return sum ^ sum>>32
}
