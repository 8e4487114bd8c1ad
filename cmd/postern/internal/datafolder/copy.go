package datafolder

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/process"
	"postern/internal/config"
	"postern/internal/operator/api"
	"postern/internal/queue"
	"postern/internal/queue/pgtables"
	"postern/internal/queue/sqlstore"
	"postern/internal/queue/storecopy"
)

// copyCmd moves everything between the data folder and a database.
type copyCmd struct {
	To   string `placeholder:"ADDRESS" help:"The database that everything in the data folder is moved to: postgres://..., its password better in PGPASSFILE."`
	From string `placeholder:"ADDRESS" help:"The database that everything is moved from, into the data folder."`
	JSON bool   `name:"json" help:"Print what was copied and verified as JSON."`
}

// Run copies, as the user that the gateway would run as, so that what it makes is that user's.
func (c *copyCmd) Run(a *cli.App) error {
	if (c.To == "") == (c.From == "") {
		return cli.Usage(errors.New("say where everything is to go, or where it is"),
			"`postern store copy --to postgres://...` moves the data folder into a database, --from moves a "+
				"database into the data folder")
	}
	cfg, err := a.Load()
	if err != nil {
		return err
	}
	folder := string(cfg.Data)
	if err := servant(cfg); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(folder, "queue.db")); c.To != "" && errors.Is(err, fs.ErrNotExist) {
		return cli.WithHint(fmt.Errorf("there is nothing to copy: %s has no queue", folder),
			"name the configuration of the gateway with --config")
	}
	address := c.To + c.From
	shown := config.Store(address).Shown()
	embedded, err := sqlstore.OpenSide(sqlstore.Config{Dir: folder})
	if err != nil {
		return openHint(err, folder)
	}
	database, err := pgtables.OpenSide(a.Ctx, address, "", shown)
	if err != nil {
		return errors.Join(copyHint(err, folder, shown), embedded.Close())
	}
	from, to := storecopy.Side(embedded), storecopy.Side(database)
	if c.From != "" {
		from, to = to, from
	}
	bar := copyBar{a: a, live: cli.OnTerminal(a.Stderr)}
	r, err := storecopy.Copy(a.Ctx, from, to, bar.draw)
	bar.clear()
	closed := errors.Join(from.Close(), to.Close())
	if err != nil {
		return copyHint(err, folder, shown)
	}
	if closed != nil {
		return closed
	}
	if c.JSON {
		return a.Object(copiedForm(r, from.Named(), to.Named()))
	}
	c.show(a, r, from.Named(), to.Named())
	return nil
}

// servant becomes the user that the gateway would run as, when no gateway answers.
func servant(cfg *config.Config) error {
	if err := api.Asked(cfg.Socket()); err != nil {
		return openHint(fmt.Errorf("%w: %w", queue.ErrInUse, err), string(cfg.Data))
	}
	return process.BecomeServant(cfg)
}

// copyHint says what can be done where a copy came to no end.
func copyHint(err error, folder, database string) error {
	const again = "run the same command again: it goes on where it ended"
	switch {
	case errors.Is(err, queue.ErrMoved), errors.Is(err, queue.ErrUnfinished):
		if closed, ok := errors.AsType[*storecopy.ClosedError](err); ok && closed.Store == folder {
			database = ""
		}
		return ClosedHint(err, database)
	case errors.Is(err, queue.ErrInUse):
		return cli.WithHint(err, "stop all gateways that use it, and run the same command again")
	case errors.Is(err, storecopy.ErrOther):
		return cli.WithHint(err, "name a database without a gateway's tables, or set `data` to another folder: "+
			"nothing is added to what is there")
	case errors.Is(err, storecopy.ErrDiffers):
		return cli.WithHint(err, "the source is as it was, and no gateway starts on the copy; "+again+
			", and report it where it says the same")
	case errors.Is(err, queue.ErrNewerForm):
		return openHint(err, database)
	}
	return cli.WithHint(err, cmp.Or(pgtables.HintOf(err), again))
}

// ClosedHint says what can be done about a store that was moved, or is an unfinished copy. Database is its address for
// people, "" for the data folder.
func ClosedHint(err error, database string) error {
	reopen := "postern store reopen"
	if database != "" {
		reopen += " --of " + database
	}
	if errors.Is(err, queue.ErrUnfinished) {
		return cli.WithHint(err, "run the `postern store copy` again that was to fill it: it goes on where it ended")
	}
	return cli.WithHint(err, "set `store` to where everything is now. To go back to this one: end what copies it, "+
		"see that no gateway ever starts on the other, which would send everything twice, and run `"+reopen+"`")
}

// copyBar is a line on a terminal that says how far a copy is; elsewhere it is nothing.
type copyBar struct {
	a    *cli.App
	live bool
}

func (b copyBar) draw(d storecopy.Done) {
	if b.live {
		fmt.Fprintf(b.a.Stderr, "\r\x1b[K%s %s: %d rows, %s of large bodies",
			map[bool]string{false: "copying", true: "verifying"}[d.Verifies], d.Table, d.Rows, cli.BytesText(d.Bytes))
	}
}

func (b copyBar) clear() {
	if b.live {
		fmt.Fprint(b.a.Stderr, "\r\x1b[K")
	}
}

func (c *copyCmd) show(a *cli.App, r *storecopy.Report, from, to string) {
	gone := ""
	if r.Resumed {
		gone = fmt.Sprintf(" (an earlier copy was gone on with: %s written)", cli.Plural(int(r.Written), "row"))
	}
	fmt.Fprintf(a.Stdout, "Copied from %s to %s, and read again on both sides%s:\n", from, to, gone)
	table := a.NewTable(cli.Col("table", 10), cli.Col("rows", 12), cli.Col("sha-256 (both sides)", 0))
	for _, t := range r.Tables {
		table.Row(t.Name, fmt.Sprint(t.Rows), t.Digest[:16])
	}
	fmt.Fprintf(a.Stdout, "Bodies: %s of waiting mail, %s, each the same on both sides.\n",
		cli.Plural(int(r.Bodies.Number), "message"), cli.BytesText(r.Bodies.Bytes))
	if r.Bodies.Damaged > 0 {
		fmt.Fprintf(a.Stdout, "Of these %d were damaged before and are so in the copy, among them %v.\n",
			r.Bodies.Damaged, r.Bodies.First)
	}
	then := `Set store = "postgres://..." in the configuration, and start the gateways.`
	if c.From != "" {
		then = "Take store out of the configuration, and start the gateway."
	}
	fmt.Fprintf(a.Stdout, "No gateway starts on %s any more. %s\n", from, then)
}

// copiedJSON is the outcome as it is printed with --json.
type copiedJSON struct {
	From    string        `json:"from"`
	To      string        `json:"to"`
	Resumed bool          `json:"resumed"`
	Written int64         `json:"rows_written"`
	Tables  []countedJSON `json:"tables"`
	Bodies  bodiesJSON    `json:"bodies"`
}

type countedJSON struct {
	Table  string `json:"table"`
	Rows   int64  `json:"rows"`
	Digest string `json:"sha256"`
}

type bodiesJSON struct {
	Number   int64      `json:"number"`
	Bytes    int64      `json:"bytes"`
	Damaged  int64      `json:"damaged"`
	Messages []queue.ID `json:"damaged_messages"` // the first of them
}

func copiedForm(r *storecopy.Report, from, to string) copiedJSON {
	b := r.Bodies
	out := copiedJSON{From: from, To: to, Resumed: r.Resumed, Written: r.Written,
		Bodies: bodiesJSON{b.Number, b.Bytes, b.Damaged, append([]queue.ID{}, b.First...)}}
	for _, t := range r.Tables {
		out.Tables = append(out.Tables, countedJSON{t.Name, t.Rows, t.Digest})
	}
	return out
}

// reopenCmd takes back that a store was moved.
type reopenCmd struct {
	Of string `placeholder:"ADDRESS" help:"A database, instead of the data folder."`
}

// Run opens the store to gateways again.
func (c *reopenCmd) Run(a *cli.App) error {
	cfg, err := a.Load()
	if err != nil {
		return err
	}
	folder := string(cfg.Data)
	if err := servant(cfg); err != nil {
		return err
	}
	var side storecopy.Side
	shown := config.Store(c.Of).Shown()
	if c.Of != "" {
		side, err = pgtables.OpenSide(a.Ctx, c.Of, "", shown)
	} else if _, err = os.Stat(filepath.Join(folder, "queue.db")); err == nil {
		side, err = sqlstore.OpenSide(sqlstore.Config{Dir: folder})
	}
	if err != nil {
		return openHint(err, folder)
	}
	was, err := storecopy.Reopen(a.Ctx, side)
	if err = errors.Join(err, side.Close()); err != nil {
		return copyHint(err, folder, shown)
	}
	if was.Word == "" {
		_, err = fmt.Fprintf(a.Stdout, "%s was never moved, and nothing was changed.\n", side.Named())
		return err
	}
	_, err = fmt.Fprintf(a.Stdout, "Gateways start on %s again. See that none ever starts on %s: it would send "+
		"everything twice.\n", side.Named(), was.Named)
	return err
}
