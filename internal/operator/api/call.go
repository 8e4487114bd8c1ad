package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"postern/internal/operator/scope"
)

// request is one call of the client.
type request struct {
	method string // "": GET
	path   string // below Root
	params url.Values
	match  string // If-Match
	body   any    // nil: none
}

// segment is a name as a part of a path that means this name whatever it is: dots are no way up.
func segment(name string) string {
	if name == "." || name == ".." {
		return strings.ReplaceAll(name, ".", "%2E")
	}
	return url.PathEscape(name)
}

// given leaves out parameters that are empty, which the API refuses.
func given(v url.Values) url.Values {
	maps.DeleteFunc(v, func(_ string, values []string) bool { return len(values) == 1 && values[0] == "" })
	return v
}

// call sends one request and reads its answer into out, nil where there is none.
func (c *Client) call(ctx context.Context, q request, out any) error {
	res, err := c.do(ctx, q)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return fmt.Errorf("the gateway's answer cannot be read or was cut off: %w", err)
	}
	return nil
}

// do sends a request; an answer that is an error becomes a *Problem. The caller closes the body.
func (c *Client) do(ctx context.Context, q request) (*http.Response, error) {
	res, err := c.send(ctx, q)
	if err != nil {
		if u, ok := errors.AsType[*Unreachable](err); ok {
			return nil, u
		}
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, &Unreachable{Where: c.where, Remote: c.remote, Err: err}
	}
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	p := &Problem{}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxBody)).Decode(p); err != nil || p.Text == "" {
		p.Text = "the gateway answered " + res.Status
	}
	p.Code = res.StatusCode
	p.join()
	return nil, p
}

func (c *Client) send(ctx context.Context, q request) (*http.Response, error) {
	var content io.Reader
	if q.body != nil {
		text, err := json.Marshal(q.body)
		if err != nil {
			return nil, fmt.Errorf("cannot write the request: %w", err)
		}
		content = bytes.NewReader(text)
	}
	if q.params != nil {
		q.path += "?" + q.params.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, q.method, c.base+q.path, content)
	if err != nil {
		return nil, err
	}
	set := func(key, value string) {
		if value != "" {
			r.Header.Set(key, value)
		}
	}
	if content != nil {
		set("Content-Type", "application/json")
	}
	set("If-Match", q.match)
	if c.token == "" {
		set(byHeader, c.By)
	} else {
		set("Authorization", "Bearer "+c.token)
	}
	return c.http.Do(r)
}

// each yields the items of a list that comes as a whole.
func each[T any](ctx context.Context, c *Client, path string, params url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var all []T
		if err := c.call(ctx, request{path: path, params: params}, &all); err != nil {
			yield(*new(T), err)
			return
		}
		for _, one := range all {
			if !yield(one, nil) {
				return
			}
		}
	}
}

// pageMost is how much the client asks for at a time.
const pageMost = 500

// pages yields the items of a list that comes in pages, at most limit of them, 0 for all.
func pages[T any](ctx context.Context, c *Client, path string, params url.Values, limit int) iter.Seq2[T, error] {
	return pagesKnowing[T](ctx, c, path, params, limit, new([]string))
}

// pagesKnowing is pages, with the names of the question that are unknown.
func pagesKnowing[T any](ctx context.Context, c *Client, path string, params url.Values, limit int,
	unknown *[]string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		params, left := maps.Clone(params), limit
		for {
			portion := pageMost
			if limit > 0 {
				portion = min(portion, left)
			}
			params.Set("limit", strconv.Itoa(portion))
			var page scope.Page[T]
			if err := c.call(ctx, request{path: path, params: params}, &page); err != nil {
				yield(*new(T), err)
				return
			}
			*unknown = append(*unknown, page.Unknown...)
			for _, one := range page.Items {
				if !yield(one, nil) {
					return
				}
			}
			left -= len(page.Items)
			if page.Next == "" || limit > 0 && left <= 0 {
				return
			}
			params.Set("after", page.Next)
		}
	}
}
