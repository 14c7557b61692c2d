package config

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"

	"vmplan.dev/vmplan/config/resource"
)

// output gives the value of an output block.
func (sc *scope) output(name string, from hcl.Range) cty.Value {
	return sc.demand("output."+name, from, func() cty.Value {
		o := sc.mod.outputs.byName[name]
		if o.value == nil {
			return cty.DynamicVal
		}
		v, ok := sc.eval.value(o.value.Expr, sc.context(referencesIn(o.value.Expr), repetition{}))
		if !ok {
			return v
		}
		if o.sensitive {
			return v.Mark(sensitive)
		}
		if v.HasMarkDeep(sensitive) {
			sc.eval.rep.add(mistake(o.value.Expr.Range(), "Sensitive value in the open", "output.%s would be shown, and comes from a sensitive value. Write sensitive = true in its block, or wrap what is harmless in nonsensitive(…).", name))
			return cty.DynamicVal
		}
		return v
	})
}

// Outputs evaluates the outputs of the root module with the addresses that running guests have now: by vm, by NIC label.
// They come in order of name. It may be called again, also from several goroutines.
func (c *Config) Outputs(live map[resource.Addr]map[string][]string) ([]Output, Diagnostics) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.eval
	e.live, e.rep = live, &reporter{}
	for _, sc := range e.scopes {
		for name := range sc.nodes {
			// Objects and the instances of modules cannot depend on what guests tell.
			if slices.ContainsFunc([]string{"local.", "var.", parameterBlock + ".", "output.", "value of "}, func(p string) bool { return strings.HasPrefix(name, p) }) {
				delete(sc.nodes, name)
			}
		}
	}
	root := e.root()
	var out []Output
	for _, name := range slices.Sorted(slices.Values(root.mod.outputs.order)) {
		block := root.mod.outputs.byName[name]
		v, _ := root.output(name, block.header).UnmarkDeep()
		out = append(out, Output{
			Name: name, Description: block.description, Sensitive: block.sensitive,
			Value: plain(v), Type: typeexpr.TypeString(v.Type()), Known: v.IsWhollyKnown(),
		})
	}
	return out, e.rep.sorted()
}

// plain converts a value to Go as encoding/json does, with numbers as json.Number. What is not known is nil.
func plain(v cty.Value) any {
	t := v.Type()
	switch {
	case !v.IsKnown() || v.IsNull():
		return nil
	case t == cty.String:
		return v.AsString()
	case t == cty.Bool:
		return v.True()
	case t == cty.Number:
		return json.Number(v.AsBigFloat().Text('f', -1))
	case t.IsObjectType() || t.IsMapType():
		out := map[string]any{}
		for it := v.ElementIterator(); it.Next(); {
			key, item := it.Element()
			out[key.AsString()] = plain(item)
		}
		return out
	}
	out := []any{}
	for it := v.ElementIterator(); it.Next(); {
		_, item := it.Element()
		out = append(out, plain(item))
	}
	return out
}

// Variables gives the values of the root module's variables as JSON, by name. Sensitive ones, and what a sensitive value has gone
// into, are left out.
func (c *Config) Variables() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]string{}
	if c.eval == nil {
		return out
	}
	root := c.eval.root()
	for name, v := range root.mod.variables.byName {
		val := root.variable(name, v.header)
		if v.sensitive || val.ContainsMarked() || !val.IsWhollyKnown() {
			continue
		}
		text, err := json.Marshal(plain(val))
		if err == nil {
			out[name] = string(text)
		}
	}
	return out
}
