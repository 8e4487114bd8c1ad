package smtpclient

import "io"

// judgeConversion fails what is left: content cannot be converted.
func (s *sending) judgeConversion() error {
	s.refuseAll(554, "5.6.3", "the content has 8-bit octets, and the next hop does not offer 8BITMIME")
	return nil
}

func newSevenBit(r io.Reader) io.Reader { return r }
