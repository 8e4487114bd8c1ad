// Package crash breaks the gateway off and looks at what is left: six levels, from the order of its system calls to the
// loss of unsynced data at each of them. Everything is seen from outside: system calls, files, mail that arrives, what
// the gateway says. See docs/crash.md for what each level proves, its controls, and what it cannot prove.
//
// With POSTERN_CRASH=long in the environment the tests take their long form.
package crash

import (
	"flag"
	"os"
	"testing"

	"postern/test/harness"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == tracerArgument {
		os.Exit(tracer(os.Args[2:]))
	}
	_ = flag.Set("test.parallel", "6") // these tests mostly wait; -parallel on the command line wins
	harness.Main(m)
}

// long reports whether the long form was asked for.
func long() bool { return os.Getenv("POSTERN_CRASH") == "long" }

// either is one number for the short form and one for the long.
func either(short, longer int) int {
	if long() {
		return longer
	}
	return short
}
