package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"postern/internal/platform/records"
)

// RunRecords runs the tests of records.Store. open returns an empty one; again opens the same data anew, or returns the
// same store where nothing outlasts it.
func RunRecords(t *testing.T, open func(t *testing.T) (s records.Store, again func() records.Store)) {
	for name, test := range map[string]func(k *shelves){
		"A record comes back as it was put, also after opening again": recordComesBack,
		"No update is lost":                                              recordVersions,
		"Many at once each find their own change":                        recordRaces,
		"All changes of a transaction are made, or none":                 recordsAllOrNone,
		"A transaction reads what it changed":                            recordsOwnChanges,
		"Records are found by key, index and moment, in order":           recordsFound,
		"Deletion takes what its query chooses, and never a whole kind":  recordsDeleted,
		"Counters add up, and are found and deleted as records are":      countersAddUp,
		"A kind is apart from the others, whatever is in names and keys": recordKinds,
		"A call whose context has ended changes nothing":                 recordsOfTheLate,
	} {
		t.Run(name, func(t *testing.T) {
			s, again := open(t)
			test(&shelves{T: t, s: s, again: again, now: time.Date(2026, 11, 28, 12, 0, 0, 123456000, time.UTC)})
		})
	}
}

// shelves is a store of records under test.
type shelves struct {
	*testing.T
	s     records.Store
	again func() records.Store
	now   time.Time
}

func (k *shelves) no(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

func (k *shelves) is(err, want error) {
	k.Helper()
	if !errors.Is(err, want) {
		k.Fatalf("error %v, want %v", err, want)
	}
}

func (k *shelves) change(do func(t records.Tx) error) error {
	return k.s.ChangeRecords(k.Context(), do)
}

func (k *shelves) put(list ...records.Record) error {
	return k.change(func(t records.Tx) error {
		for _, r := range list {
			if err := t.Put(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// read runs do on the store.
func (k *shelves) read(do func(r records.Reader) error) {
	k.Helper()
	k.no(k.s.ReadRecords(k.Context(), do))
}

// found says what a query finds, "key=value".
func (k *shelves) found(q records.Query) (out string) {
	k.Helper()
	k.read(func(r records.Reader) error {
		out = ""
		list, err := r.List(q)
		for _, one := range list {
			out += one.Key + "=" + string(one.Value) + " "
		}
		return err
	})
	return out
}

// counted says what a query finds of counters, "key=n".
func (k *shelves) counted(q records.Query) (out string) {
	k.Helper()
	k.read(func(r records.Reader) error {
		out = ""
		list, err := r.Counters(q)
		for _, c := range list {
			out += fmt.Sprintf("%s=%d ", c.Key, c.N)
		}
		return err
	})
	return out
}

func (k *shelves) want(what, got, want string) {
	k.Helper()
	if got != want {
		k.Errorf("%s: %q, want %q", what, got, want)
	}
}

func (k *shelves) get(kind, key string) (r records.Record, err error) {
	err = k.s.ReadRecords(k.Context(), func(from records.Reader) (err error) {
		r, err = from.Get(kind, key)
		return err
	})
	return r, err
}

func recordComesBack(k *shelves) {
	value := []byte("a\x00\xff\"")
	k.no(k.put(records.Record{Kind: "a", Key: "1", Index: "one", At: k.now.Add(789), Value: value},
		records.Record{Kind: "a", Key: "2"}))
	value[0] = 'x' // it is the store's no more
	for range 2 {
		r, err := k.get("a", "1")
		k.no(err)
		if r.Kind != "a" || r.Key != "1" || r.Index != "one" || !r.At.Equal(k.now) || r.At.Location() != time.UTC ||
			string(r.Value) != "a\x00\xff\"" || r.Version != 1 {
			k.Errorf("%+v", r)
		}
		r.Value[0] = 'y'
		bare, err := k.get("a", "2")
		k.no(err)
		if bare.Index != "" || !bare.At.IsZero() || len(bare.Value) != 0 {
			k.Errorf("a bare record reads as %+v", bare)
		}
		_, err = k.get("a", "3")
		k.is(err, records.ErrNotFound)
		k.s = k.again()
	}
}

func recordVersions(k *shelves) {
	one := records.Record{Kind: "a", Key: "1", Value: []byte("first")}
	k.is(k.put(records.Record{Kind: "a", Key: "1", Version: 1}), records.ErrChanged)
	k.no(k.put(one))
	k.is(k.put(one), records.ErrChanged)
	one.Version, one.Value = 1, []byte("second")
	k.no(k.put(one))
	one.Value = []byte("lost")
	k.is(k.put(one), records.ErrChanged)
	k.s = k.again()
	k.is(k.put(one), records.ErrChanged)
	k.want("the last word", k.found(records.Query{Kind: "a"}), "1=second ")
	one.Version, one.Value = records.Any, []byte("third")
	k.no(k.put(one, records.Record{Kind: "a", Key: "2", Version: records.Any, Value: []byte("new")}))
	k.want("whatever was there", k.found(records.Query{Kind: "a"}), "1=third 2=new ")
	if r, err := k.get("a", "1"); err != nil || r.Version != 3 {
		k.Errorf("version %d, %v", r.Version, err)
	}
	k.no(k.change(func(t records.Tx) error {
		_, err := t.Delete("a", "1")
		return err
	}))
	one.Version = 0
	k.no(k.put(one)) // what is gone begins anew
}

func recordRaces(k *shelves) {
	const many = 16
	var group sync.WaitGroup
	for range many {
		group.Go(func() {
			for {
				r, err := k.get("a", "1")
				if err != nil && !errors.Is(err, records.ErrNotFound) {
					k.Error(err)
					return
				}
				err = k.put(records.Record{Kind: "a", Key: "1", Version: r.Version, Value: append(r.Value, 'x')})
				if !errors.Is(err, records.ErrChanged) {
					if err != nil {
						k.Error(err)
					}
					return
				}
			}
		})
	}
	group.Wait()
	if r, err := k.get("a", "1"); err != nil || len(r.Value) != many || r.Version != many {
		k.Errorf("%q in version %d, %v", r.Value, r.Version, err)
	}
}

func recordsAllOrNone(k *shelves) {
	k.no(k.put(records.Record{Kind: "a", Key: "1", Value: []byte("kept")},
		records.Record{Kind: "a", Key: "2", Index: "i", Value: []byte("too")}))
	k.no(k.change(func(t records.Tx) error { return t.Add(records.Counter{Kind: "n", Key: "1", Index: "i", N: 5}) }))
	everything := func(t records.Tx) error {
		_, err := t.Delete("a", "1")
		k.no(err)
		k.no(t.Put(records.Record{Kind: "a", Key: "1", Value: []byte("other")}))
		k.no(t.Put(records.Record{Kind: "a", Key: "3"}))
		k.no(t.DeleteAll(records.Query{Kind: "a", Index: "i"}))
		k.no(t.Add(records.Counter{Kind: "n", Key: "1", N: 7}))
		k.no(t.Add(records.Counter{Kind: "n", Key: "2", N: 7}))
		return t.DeleteAll(records.Query{Kind: "n", Index: "i"})
	}
	refused := errors.New("no")
	k.is(k.change(func(t records.Tx) error {
		k.no(everything(t))
		return refused
	}), refused)
	k.is(k.change(func(t records.Tx) error {
		k.no(everything(t))
		return t.Put(records.Record{Kind: "a", Key: "4", Version: 9})
	}), records.ErrChanged)
	for range 2 {
		k.want("records", k.found(records.Query{Kind: "a"}), "1=kept 2=too ")
		k.want("counters", k.counted(records.Query{Kind: "n"}), "1=5 ")
		k.s = k.again()
	}
	k.no(k.change(everything))
	k.s = k.again()
	k.want("records", k.found(records.Query{Kind: "a"}), "1=other 3= ")
	k.want("counters", k.counted(records.Query{Kind: "n"}), "2=7 ")
}

func recordsOwnChanges(k *shelves) {
	k.no(k.change(func(t records.Tx) error {
		k.no(t.Put(records.Record{Kind: "a", Key: "1", Value: []byte("x")}))
		r, err := t.Get("a", "1")
		k.no(err)
		r.Value = []byte("y")
		k.no(t.Put(r))
		k.no(t.Put(records.Record{Kind: "a", Key: "2"}))
		if n, err := t.Count("a"); n != 2 || err != nil {
			k.Errorf("%d records, %v", n, err)
		}
		was, err := t.Delete("a", "2")
		k.no(err)
		again, err := t.Delete("a", "2")
		k.no(err)
		if !was || again {
			k.Errorf("deleted %v, and once more %v", was, again)
		}
		list, err := t.List(records.Query{Kind: "a"})
		if err != nil || len(list) != 1 || string(list[0].Value) != "y" || list[0].Version != 2 {
			k.Errorf("%+v, %v", list, err)
		}
		return nil
	}))
}

// some puts six records: keys a to f, in two indexes, four of them of moments, each earlier than the one before.
func (k *shelves) some() {
	k.Helper()
	var list []records.Record
	for i, key := range []string{"c", "a", "b", "d", "f", "e"} {
		r := records.Record{Kind: "a", Key: key, Index: []string{"even", "odd"}[i%2]}
		if i < 4 {
			r.At = k.now.Add(-time.Duration(i) * time.Second)
		}
		list = append(list, r)
	}
	k.no(k.put(list...))
}

func recordsFound(k *shelves) {
	k.some()
	for range 2 {
		for _, tt := range []struct {
			q    records.Query
			want string
		}{
			{records.Query{}, "a= b= c= d= e= f= "},
			{records.Query{Limit: 2}, "a= b= "},
			{records.Query{Index: "even"}, "b= c= f= "},
			{records.Query{Index: "even", From: "c", Limit: 1}, "c= "},
			{records.Query{Index: "none"}, ""},
			{records.Query{From: "b", To: "d"}, "b= c= "},
			{records.Query{Before: k.now}, "a= b= d= "},
			{records.Query{Before: k.now.Add(time.Microsecond)}, "a= b= c= d= "},
			{records.Query{Before: k.now.Add(-time.Second), Index: "even"}, "b= "},
			{records.Query{Oldest: true}, "d= b= a= c= "},
			{records.Query{Oldest: true, Limit: 2}, "d= b= "},
			{records.Query{Oldest: true, Index: "odd"}, "d= a= "},
		} {
			tt.q.Kind = "a"
			k.want(fmt.Sprintf("%+v", tt.q), k.found(tt.q), tt.want)
		}
		k.read(func(r records.Reader) error {
			n, err := r.Count("a")
			if n != 6 {
				k.Errorf("%d records", n)
			}
			return err
		})
		k.s = k.again()
	}
}

func recordsDeleted(k *shelves) {
	k.some()
	del := func(q records.Query) error {
		q.Kind = "a"
		return k.change(func(t records.Tx) error { return t.DeleteAll(q) })
	}
	if err := del(records.Query{}); err == nil {
		k.Error("a whole kind was deleted")
	}
	k.no(del(records.Query{Before: k.now.Add(-2 * time.Second)}))
	k.want("by moment", k.found(records.Query{Kind: "a"}), "a= b= c= e= f= ")
	k.no(del(records.Query{From: "f"}))
	k.want("by key", k.found(records.Query{Kind: "a"}), "a= b= c= e= ")
	k.no(del(records.Query{Index: "odd"}))
	k.s = k.again()
	k.want("by index", k.found(records.Query{Kind: "a"}), "b= c= ")
}

func countersAddUp(k *shelves) {
	add := func(list ...records.Counter) {
		k.Helper()
		k.no(k.change(func(t records.Tx) error {
			for _, c := range list {
				c.Kind = "n"
				if err := t.Add(c); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	add()
	add(records.Counter{Key: "2", Index: "i", N: 3}, records.Counter{Key: "1", N: 1}, records.Counter{Key: "1", N: 1})
	add(records.Counter{Key: "2", Index: "i", N: 4}, records.Counter{Key: "3", Index: "i", N: -2})
	for range 2 {
		k.want("all", k.counted(records.Query{Kind: "n"}), "1=2 2=7 3=-2 ")
		k.want("by index", k.counted(records.Query{Kind: "n", Index: "i"}), "2=7 3=-2 ")
		k.want("by key", k.counted(records.Query{Kind: "n", From: "2", To: "3"}), "2=7 ")
		k.want("the first", k.counted(records.Query{Kind: "n", Limit: 1}), "1=2 ")
		k.want("records", k.found(records.Query{Kind: "n"}), "")
		k.s = k.again()
	}
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if err := k.change(func(t records.Tx) error {
				return t.Add(records.Counter{Kind: "n", Key: "1", N: 1})
			}); err != nil {
				k.Error(err)
			}
		})
	}
	group.Wait()
	k.no(k.change(func(t records.Tx) error { return t.DeleteAll(records.Query{Kind: "n", From: "2"}) }))
	k.want("after many at once", k.counted(records.Query{Kind: "n"}), "1=22 ")
}

func recordKinds(k *shelves) {
	odd := "a b\t'\"%_ü\n"
	k.no(k.put(
		records.Record{Kind: "a", Key: "1", Value: []byte("a")},
		records.Record{Kind: "b", Key: "1", Value: []byte("b")},
		records.Record{Kind: "b", Key: odd, Index: odd, Value: []byte("odd")},
		records.Record{Kind: "c", Value: []byte("no key")}))
	k.want("one kind", k.found(records.Query{Kind: "a"}), "1=a ")
	k.want("by an odd index", k.found(records.Query{Kind: "b", Index: odd}), odd+"=odd ")
	k.want("by no key", k.found(records.Query{Kind: "c"}), "=no key ")
	k.no(k.change(func(t records.Tx) error { return t.DeleteAll(records.Query{Kind: "a", To: "9"}) }))
	k.want("another kind", k.found(records.Query{Kind: "b"}), "1=b "+odd+"=odd ")
}

func recordsOfTheLate(k *shelves) {
	ctx, cancel := context.WithCancel(k.Context())
	cancel()
	if k.s.ChangeRecords(ctx, func(t records.Tx) error { return t.Put(records.Record{Kind: "a", Key: "1"}) }) == nil ||
		k.s.ReadRecords(ctx, func(records.Reader) error { return nil }) == nil {
		k.Error("no error")
	}
	k.want("nothing", k.found(records.Query{Kind: "a"}), "")
}
