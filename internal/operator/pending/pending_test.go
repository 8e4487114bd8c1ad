package pending_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/operator/pending"
)

func TestAValueIsTakenOnceAndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := pending.New[int](time.Minute, 100)
		table.Put("a", 1)
		table.Put("b", 2)
		if v, ok := table.Take("a"); !ok || v != 1 {
			t.Errorf("%d, %t", v, ok)
		}
		if _, ok := table.Take("a"); ok {
			t.Error("taken twice")
		}
		if _, ok := table.Take("none"); ok {
			t.Error("an unknown key is taken")
		}
		time.Sleep(time.Minute)
		if _, ok := table.Take("b"); ok {
			t.Error("taken too late")
		}
	})
}

func TestTheOldestMakeRoom(t *testing.T) {
	table := pending.New[int](time.Hour, 10)
	for i := range 25 {
		table.Put(strconv.Itoa(i), i)
	}
	for i := range 25 {
		if _, ok := table.Take(strconv.Itoa(i)); ok != (i >= 15) {
			t.Errorf("%d is there: %t", i, ok)
		}
	}
}
