package postgres

import (
	"encoding/binary"
	"fmt"
	"math"
)

// The types of arguments, by their numbers in the catalog of every PostgreSQL.
const (
	boolOID   = 16
	bytesOID  = 17
	int8OID   = 20
	int2OID   = 21
	int4OID   = 23
	textOID   = 25
	bytesList = 1001
	textList  = 1009
	int8List  = 1016
)

// typeOf is the type of an argument, 0 where the server is to find it out.
func typeOf(arg any) uint32 {
	switch v := arg.(type) {
	case int64:
		return int8OID
	case string:
		return textOID
	case []byte:
		return bytesOID
	case bool:
		return boolOID
	case []int64:
		return int8List
	case []string:
		return textList
	case column:
		return listOf(v.element)
	}
	return 0
}

func listOf(element uint32) uint32 {
	switch element {
	case int8OID:
		return int8List
	case bytesOID:
		return bytesList
	}
	return textList
}

// encode is an argument in the binary form of the type that the server wants; nil is NULL.
func encode(oid uint32, arg any) ([]byte, error) {
	switch v := arg.(type) {
	case nil:
		return nil, nil
	case int64:
		return encodeInt(oid, v)
	case string:
		return []byte(v), nil
	case []byte:
		if v == nil {
			return []byte{}, nil
		}
		return v, nil
	case bool:
		if v {
			return []byte{1}, nil
		}
		return []byte{0}, nil
	case []int64:
		if v == nil {
			return nil, nil
		}
		list := newColumn(int8OID, len(v))
		for _, n := range v {
			list.int(n)
		}
		return list.done(), nil
	case []string:
		if v == nil {
			return nil, nil
		}
		list := newColumn(textOID, len(v))
		for _, s := range v {
			list.bytes([]byte(s))
		}
		return list.done(), nil
	case column:
		return v.done(), nil
	}
	return nil, fmt.Errorf("postgres: an argument cannot be %T", arg)
}

// encodeInt is an integer as wide as the server wants it.
func encodeInt(oid uint32, n int64) ([]byte, error) {
	switch {
	case oid == int4OID && n >= math.MinInt32 && n <= math.MaxInt32:
		return binary.BigEndian.AppendUint32(nil, uint32(int32(n))), nil
	case oid == int2OID && n >= math.MinInt16 && n <= math.MaxInt16:
		return binary.BigEndian.AppendUint16(nil, uint16(int16(n))), nil
	case oid == int8OID:
		return binary.BigEndian.AppendUint64(nil, uint64(n)), nil
	}
	return nil, fmt.Errorf("postgres: the number %d does not fit the argument it is for", n)
}

// column is one column of many rows as an argument: an array in binary form.
type column struct {
	element uint32
	raw     []byte
	count   int
	nulls   bool
}

// newColumn begins a column; rows is how many there will be, about.
func newColumn(element uint32, rows int) column {
	return column{element: element, raw: make([]byte, 20, 20+rows*12)}
}

func (c *column) int(n int64) {
	c.raw = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(c.raw, 8), uint64(n))
	c.count++
}

func (c *column) bytes(b []byte) {
	c.raw = append(binary.BigEndian.AppendUint32(c.raw, uint32(len(b))), b...)
	c.count++
}

func (c *column) null() {
	c.raw = binary.BigEndian.AppendUint32(c.raw, math.MaxUint32)
	c.count, c.nulls = c.count+1, true
}

// add appends a value: int64, string, []byte or nil.
func (c *column) add(value any) error {
	switch v := value.(type) {
	case nil:
		c.null()
	case int64:
		if c.element != int8OID {
			return fmt.Errorf("postgres: a number in a column of type %d", c.element)
		}
		c.int(v)
	case string:
		c.bytes([]byte(v))
	case []byte:
		c.bytes(v)
	default:
		return fmt.Errorf("postgres: a column cannot hold %T", value)
	}
	return nil
}

// done writes the head: dimensions, whether there are NULLs, type; length and lower bound. No element is no dimension.
func (c *column) done() []byte {
	if c.count == 0 {
		return binary.BigEndian.AppendUint32(make([]byte, 8, 12), c.element)
	}
	put := func(at int, n uint32) { binary.BigEndian.PutUint32(c.raw[at:], n) }
	put(0, 1)
	if c.nulls {
		put(4, 1)
	}
	put(8, c.element)
	put(12, uint32(c.count))
	put(16, 1)
	return c.raw
}

// Columns turns rows into arguments for unnest: one list for each column. Types has a letter for each: i is int64, t is
// text, b is bytes. Values may be nil.
func Columns(types string, rows [][]any) ([]any, error) {
	out := make([]any, len(types))
	for i, letter := range []byte(types) {
		c := newColumn(map[byte]uint32{'i': int8OID, 't': textOID, 'b': bytesOID}[letter], len(rows))
		for _, row := range rows {
			if len(row) != len(types) {
				return nil, fmt.Errorf("postgres: a row of %d values for %d columns", len(row), len(types))
			}
			if err := c.add(row[i]); err != nil {
				return nil, err
			}
		}
		out[i] = c
	}
	return out, nil
}
