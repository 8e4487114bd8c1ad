package storeclock

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"postern/internal/operator/audit"
	"postern/internal/queue"
)

// TestLawEveryTimeIsTurned: of whatever goes into a store or comes out, every time there is room for is turned, and
// nothing that the caller still has is changed. A time that is added to one of these types is to be turned too, or to be
// listed here.
func TestLawEveryTimeIsTurned(t *testing.T) {
	const by = shift(time.Hour)
	// Certificates and lists of revoked ones are dated by who issues them.
	others := []string{".NotBefore", ".NotAfter", ".RevocationAsOf"}
	check := func(value any, turn func()) {
		t.Helper()
		v := reflect.ValueOf(value).Elem()
		fill(v, 0)
		shared := reflect.New(v.Type()).Elem() // what it refers to is the same
		shared.Set(v)
		before := times(shared, v.Type().Name(), nil)
		turn()
		after, kept := times(v, v.Type().Name(), nil), times(shared, v.Type().Name(), nil)
		if len(before) == 0 || len(before) != len(after) {
			t.Fatalf("%v: %d times, then %d", v.Type(), len(before), len(after))
		}
		for path, at := range before {
			want := at.Add(time.Hour)
			for _, suffix := range others {
				if strings.HasSuffix(path, suffix) {
					want = at
				}
			}
			if !after[path].Equal(want) {
				t.Errorf("%s was not turned", path)
			}
			if !kept[path].Equal(at) {
				t.Errorf("%s was changed for others too", path)
			}
		}
	}
	var (
		sub    queue.Submission
		batch  queue.Batch
		claim  queue.Claim
		action queue.Action
		filter queue.Filter
		work   queue.Work
		record queue.Record
		site   queue.Site
		stats  queue.Stats
		end    queue.Unfinished
		entry  audit.Entry
		rules  audit.Revision
	)
	check(&sub, func() { by.submission(&sub) })
	check(&batch, func() { by.batch(&batch) })
	check(&claim, func() { by.claim(&claim) })
	check(&action, func() { by.action(&action) })
	check(&filter, func() { by.filter(&filter) })
	check(&work, func() { by.work(&work) })
	check(&record, func() { by.record(&record) })
	check(&site, func() { by.site(&site) })
	check(&stats, func() { by.stats(&stats) })
	check(&end, func() { by.unfinished(&end) })
	check(&entry, func() { by.entry(&entry) })
	check(&rules, func() { by.revision(&rules) })
}

// moment is what every time is filled with.
func moment() time.Time { return time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC) }

// fill puts something into everything that can be reached.
func fill(v reflect.Value, depth int) {
	if depth > 30 || !v.CanSet() {
		return
	}
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(moment()))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth+1)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(value, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), depth+1)
		}
	}
}

// times are those that can be reached, by their paths.
func times(v reflect.Value, path string, out map[string]time.Time) map[string]time.Time {
	if out == nil {
		out = map[string]time.Time{}
	}
	if v.Type() == reflect.TypeFor[time.Time]() {
		out[path] = v.Interface().(time.Time)
		return out
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			times(v.Elem(), path, out)
		}
	case reflect.Slice:
		for i := range v.Len() {
			times(v.Index(i), path+"[]", out)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			times(v.MapIndex(key), path+"{}", out)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				times(v.Field(i), path+"."+v.Type().Field(i).Name, out)
			}
		}
	}
	return out
}

// TestLawEveryMethodWithTimesIsTurned: what is passed on as it is has no times.
func TestLawEveryMethodWithTimesIsTurned(t *testing.T) {
	plain := []string{"NewDraft", "Open", "Wished", "Close", "Judgement", "Judge"}
	all := reflect.TypeFor[Kept]()
	for i := range all.NumMethod() {
		m := all.Method(i)
		var parts []reflect.Type
		for k := range m.Type.NumIn() {
			parts = append(parts, m.Type.In(k))
		}
		for k := range m.Type.NumOut() {
			parts = append(parts, m.Type.Out(k))
		}
		has := false
		for _, p := range parts {
			has = has || p.Kind() == reflect.Func || p.Kind() != reflect.Interface && hasTimes(p)
		}
		passed := false
		for _, name := range plain {
			passed = passed || name == m.Name
		}
		if has == passed {
			t.Errorf("%s: with times %v, passed on as it is %v", m.Name, has, passed)
		}
	}
}

// hasTimes reports whether a value of a type can have times.
func hasTimes(of reflect.Type) bool {
	v := reflect.New(of).Elem()
	fill(v, 0)
	return len(times(v, "", nil)) > 0
}
