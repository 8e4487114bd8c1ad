package confcheck

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"postern/cmd/postern/internal/cli"
	"postern/internal/platform/passhash"
)

// hashPasswordCmd makes the password_hash of a [[user]]. The password is never an argument, where others could see it.
type hashPasswordCmd struct{}

// Run asks for the password on a terminal, twice and without echo, or reads one line from a pipe.
func (*hashPasswordCmd) Run(a *cli.App) error {
	ask := readLine
	if cli.OnTerminal(a.Stdin) {
		ask = askTwice
	}
	password, err := ask(a)
	if err != nil {
		return err
	}
	if password == "" {
		return cli.WithHint(errors.New("the password is empty"),
			"`printf '%s' \"$PASSWORD\" | postern config hash-password`")
	}
	salt := make([]byte, passhash.SaltLength)
	rand.Read(salt)
	_, err = fmt.Fprintln(a.Stdout, passhash.New(password, salt))
	return err
}

func readLine(a *cli.App) (string, error) {
	line, err := bufio.NewReader(a.Stdin).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("cannot read the password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

func askTwice(a *cli.App) (string, error) {
	var typed [2]string
	for i, prompt := range [2]string{"Password: ", "Again: "} {
		fmt.Fprint(a.Stderr, prompt)
		raw, err := term.ReadPassword(int(a.Stdin.(*os.File).Fd()))
		fmt.Fprintln(a.Stderr)
		if err != nil {
			return "", fmt.Errorf("cannot read the password: %w", err)
		}
		typed[i] = string(raw)
	}
	if typed[0] != typed[1] {
		return "", errors.New("the two passwords differ")
	}
	return typed[0], nil
}
