package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"postern/internal/event/metrics"
	"postern/internal/policy"
	"postern/tools/tree"
)

// roomsTable lists the rooms by folder with the first words of their package comments. Ground rooms have a dot.
func roomsTable(t *tree.Tree, _ string) (string, error) {
	_, ground, err := t.Lattice()
	if err != nil {
		return "", err
	}
	rooms := t.Rooms()
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(rooms)) {
		if tree.OnlyForTests("internal/" + name) {
			continue
		}
		dot := ""
		if slices.Contains(ground, name) {
			dot = " •"
		}
		rows = append(rows, []string{"`" + name + "`" + dot, strings.TrimPrefix(brief(rooms[name].Synopsis()), "is ")})
	}
	return table([]string{"room", "it"}, rows), nil
}

// brief is a sentence up to the first place behind which it only goes into detail, without its full stop.
func brief(sentence string) string {
	for i := range sentence {
		for _, detail := range []string{": ", ", so that ", ", where ", ", and ", ", which ", ", as ", " (RFC "} {
			if strings.HasPrefix(sentence[i:], detail) && len(strings.Fields(sentence[:i])) >= 5 {
				return sentence[:i]
			}
		}
	}
	return strings.TrimSuffix(sentence, ".")
}

// reasons lists every reason code.
func reasons(*tree.Tree, string) (string, error) {
	var rows [][]string
	for _, r := range policy.Reasons() {
		rows = append(rows, []string{"`" + string(r.Reason) + "`", string(r.Who), r.Status, r.TLSRPT, r.Text})
	}
	return table([]string{"code", "acts", "status", "TLSRPT", "meaning"}, rows), nil
}

// metricsTable lists every metric with its labels.
func metricsTable(*tree.Tree, string) (string, error) {
	var rows [][]string
	for _, d := range metrics.Definitions() {
		rows = append(rows, []string{"`" + d.Name + "`", strings.Join(d.Labels, ", "), d.Help})
	}
	return table([]string{"metric", "labels", "what it tells"}, rows), nil
}

// dependencies fills the last column of the table of decision 6: where a module is imported. The others are people's.
func dependencies(t *tree.Tree, old string) (string, error) {
	module := regexp.MustCompile("`([a-z.]+\\.[a-z]+/[^`]+)`")
	var all []string
	for _, m := range module.FindAllStringSubmatch(old, -1) {
		all = append(all, m[1])
	}
	users := map[string]map[string]bool{}
	for _, p := range t.Packages {
		if strings.Contains(p.Dir, "testkit") || strings.Contains(p.Dir, "storetest") {
			continue
		}
		for _, path := range p.Imports() {
			if m := moduleOf(path, all); m != "" {
				if users[m] == nil {
					users[m] = map[string]bool{}
				}
				users[m]["`"+p.Room()+"`"] = true
			}
		}
	}
	var rows [][]string
	for line := range strings.Lines(old) {
		cells := strings.Split(strings.Trim(line, "|\n "), " | ")
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		if len(cells) < 2 {
			return "", fmt.Errorf("a row says not what for: %q", line)
		}
		where := map[string]bool{}
		for _, m := range module.FindAllStringSubmatch(cells[0], -1) {
			maps.Copy(where, users[m[1]])
		}
		places := strings.Join(slices.Sorted(maps.Keys(where)), ", ")
		if places == "" {
			places = "tests only"
		}
		rows = append(rows, []string{cells[0], cells[1], places})
	}
	return table([]string{"module", "what for", "imported by"}, rows), nil
}

// moduleOf is the longest of the modules that holds a package.
func moduleOf(path string, modules []string) (found string) {
	for _, m := range modules {
		if (path == m || strings.HasPrefix(path, m+"/")) && len(m) > len(found) {
			found = m
		}
	}
	return found
}

// figures fills the last column of the table of measures. The one before is that of the commit the table names.
func figures(t *tree.Tree, old string) (string, error) {
	measured, err := t.Measure()
	if err != nil {
		return "", err
	}
	before := map[string]string{}
	for line := range strings.Lines(old) {
		if cells := strings.Split(strings.Trim(line, "|\n "), " | "); len(cells) == 3 {
			before[cells[0]] = cells[1]
		}
	}
	head := "before"
	for line := range strings.Lines(old) {
		if cells := strings.Split(strings.Trim(line, "|\n "), " | "); len(cells) == 3 {
			head = cells[1]
			break
		}
	}
	var rows [][]string
	for _, r := range measured {
		rows = append(rows, []string{r.What, before[r.What], r.String()})
	}
	return table([]string{"measure", head, "now"}, rows), nil
}
