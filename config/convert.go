package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"vmplan.dev/vmplan/config/resource"
)

var (
	sizeType     = reflect.TypeFor[resource.Size]()
	durationType = reflect.TypeFor[resource.Duration]()
	secretType   = reflect.TypeFor[resource.Secret]()
	addrType     = reflect.TypeFor[resource.Addr]()
)

// convert brings the value of an attribute to the type of its field. What does not fit is reported.
func (e *evaluator) convert(a *attrSpec, v cty.Value) decoded {
	failed := decoded{state: attrFailed}
	rng := a.expr.Range()
	plain, marks := v.UnmarkDeep()
	known := plain.IsWhollyKnown()
	if len(a.attr.Refs) > 0 { // which object it is counts, and not what is known of that or secret in it
		known, marks = plain.IsKnown(), v.Marks()
	}
	_, secret := marks[sensitive]
	if secret && a.attr.Type != secretType && !a.attr.Sealed {
		e.rep.addFirst(mistake(rng, "Sensitive value in the open", "%s would be shown in plans and recorded, and this comes from a sensitive value. Only fields that are sensitive themselves, such as user_data, may hold one.", a.path))
		return failed
	}
	if !known {
		if nic, ok := guestOnly(v); ok {
			e.rep.addFirst(guestMistake(rng, nic))
		}
		return failed
	}
	if plain.IsNull() {
		return decoded{state: attrUnset}
	}
	got, d := e.goValue(a.attr, plain)
	if d != nil {
		d.Subject = &rng
		if d.Detail != "" {
			d.Detail = a.path + " " + d.Detail
		}
		e.rep.addFirst(d)
		return failed
	}
	if !got.IsValid() {
		return failed
	}
	done := decoded{value: got, state: attrSet}
	if secret && a.attr.Sealed {
		done.sealed = sealedElements(v)
	}
	return done
}

// sealedElements tells which elements of a list are sensitive.
func sealedElements(v cty.Value) []bool {
	all := v.HasMark(sensitive)
	v, _ = v.Unmark()
	var out []bool
	for it := v.ElementIterator(); it.Next(); {
		_, item := it.Element()
		out = append(out, all || item.HasMarkDeep(sensitive))
	}
	return out
}

// problem is a diagnostic whose place and field the caller knows.
func problem(summary, format string, args ...any) *hcl.Diagnostic {
	return mistake(hcl.Range{}, summary, format, args...)
}

// goValue converts a known value. An invalid result without a diagnostic depends on what failed before.
func (e *evaluator) goValue(a *resource.Attr, v cty.Value) (reflect.Value, *hcl.Diagnostic) {
	t := a.Type
	if len(a.Refs) > 0 {
		return e.reference(a, v)
	}
	switch {
	case t == sizeType:
		return sizeValue(v)
	case t == durationType:
		return durationValue(v)
	case t == secretType:
		text, d := textValue(v)
		return reflect.ValueOf(resource.NewSecret(text, e.prior.Salt)), d
	}
	switch t.Kind() {
	case reflect.String:
		text, d := textValue(v)
		if d == nil && a.Enum != nil && text != "" && !slices.Contains(a.Enum, text) {
			return reflect.Value{}, problem("Value not allowed", "is %s, and not %q.%s", oneOf(a.Enum), text, didYouMean(text, a.Enum))
		}
		if d == nil {
			d = oneLine(a, text)
		}
		return reflect.ValueOf(text), d
	case reflect.Int:
		return intValue(v)
	case reflect.Bool:
		b, d := boolValue(v)
		return reflect.ValueOf(b), d
	case reflect.Pointer:
		b, d := boolValue(v)
		return reflect.ValueOf(&b), d
	case reflect.Slice:
		return textsValue(v)
	case reflect.Map:
		return mapValue(v)
	}
	panic(fmt.Sprintf("config: attribute %s has type %s, which no value converts to", a.Name, t))
}

func wrongType(want string, v cty.Value) *hcl.Diagnostic {
	return problem("Wrong type", "is %s, and this is %s.", want, v.Type().FriendlyName())
}

func textValue(v cty.Value) (string, *hcl.Diagnostic) {
	s, err := convert.Convert(v, cty.String)
	if err != nil {
		return "", wrongType("a text", v)
	}
	return s.AsString(), nil
}

// oneLine refuses control characters: hosts keep texts in files of lines and in XML, where these would end a line, or not be
// taken, or come back as others. Only a description may have several lines.
func oneLine(a *resource.Attr, text string) *hcl.Diagnostic {
	for _, r := range text {
		if !unicode.IsControl(r) || r == '\n' && a.Name == "description" {
			continue
		}
		hint := ""
		if !strings.ContainsFunc(strings.TrimSpace(text), unicode.IsControl) {
			hint = " Write trimspace(…) around it."
		}
		return problem("Value not allowed", "is one line of plain text, and this has the character %q in it.%s", r, hint)
	}
	return nil
}

func boolValue(v cty.Value) (bool, *hcl.Diagnostic) {
	b, err := convert.Convert(v, cty.Bool)
	if err != nil {
		return false, wrongType("true or false", v)
	}
	return b.True(), nil
}

func intValue(v cty.Value) (reflect.Value, *hcl.Diagnostic) {
	n, err := convert.Convert(v, cty.Number)
	if err != nil {
		return reflect.Value{}, wrongType("a whole number", v)
	}
	i, accuracy := n.AsBigFloat().Int64()
	if accuracy != 0 || i < 1 || i > math.MaxInt32 {
		return reflect.Value{}, problem("Value not allowed", "is a whole number, 1 or more, and not %s.", n.AsBigFloat().Text('g', 10))
	}
	return reflect.ValueOf(int(i)), nil
}

func sizeValue(v cty.Value) (reflect.Value, *hcl.Diagnostic) {
	if v.Type() != cty.String {
		return reflect.Value{}, problem("Bad size", `is a size, written as a text with a unit: "512MiB", "20GiB" or "500MB".`)
	}
	s, err := resource.ParseSize(v.AsString())
	if err == nil && s == 0 {
		err = fmt.Errorf("%q is nothing", v.AsString())
	}
	if err != nil {
		return reflect.Value{}, problem("Bad size", "cannot be read: %s.", err)
	}
	return reflect.ValueOf(s), nil
}

func durationValue(v cty.Value) (reflect.Value, *hcl.Diagnostic) {
	bad := problem("Bad duration", `is a time span, written as a text with a unit: "90s", "3m" or "1h30m".`)
	if v.Type() != cty.String {
		return reflect.Value{}, bad
	}
	span, err := time.ParseDuration(v.AsString())
	if err != nil || span <= 0 {
		return reflect.Value{}, bad
	}
	return reflect.ValueOf(resource.Duration(span)), nil
}

func textsValue(v cty.Value) (reflect.Value, *hcl.Diagnostic) {
	list, err := convert.Convert(v, cty.List(cty.String))
	if err != nil {
		return reflect.Value{}, wrongType("a list of texts", v)
	}
	out := make([]string, 0, list.LengthInt())
	for _, item := range list.AsValueSlice() {
		if item.IsNull() {
			return reflect.Value{}, problem("Wrong type", "is a list of texts, and one of them is null.")
		}
		out = append(out, item.AsString())
	}
	return reflect.ValueOf(out), nil
}

func mapValue(v cty.Value) (reflect.Value, *hcl.Diagnostic) {
	texts, err := convert.Convert(v, cty.Map(cty.String))
	if err != nil {
		return reflect.Value{}, wrongType("a map of texts", v)
	}
	out := make(map[string]string, texts.LengthInt())
	for key, item := range texts.AsValueMap() {
		if item.IsNull() {
			return reflect.Value{}, problem("Wrong type", "is a map of texts, and that of %q is null.", key)
		}
		out[key] = item.AsString()
	}
	return reflect.ValueOf(out), nil
}

// typeError writes an error of a conversion with the path inside the value.
func typeError(err error) string {
	if pe := (cty.PathError{}); errors.As(err, &pe) && len(pe.Path) > 0 {
		return fmt.Sprintf("%s: %s", pathText(pe.Path), pe.Error())
	}
	return err.Error()
}

func pathText(p cty.Path) string {
	text := ""
	for _, step := range p {
		switch s := step.(type) {
		case cty.GetAttrStep:
			text += "." + s.Name
		case cty.IndexStep:
			if k, err := convert.Convert(s.Key, cty.String); err == nil && k.IsKnown() && !k.IsNull() {
				text += "[" + k.AsString() + "]"
			}
		}
	}
	return text
}
