package resource

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Value is the value of one field; the zero Value is a field that is not set. It can be shown and written down: logins in
// locations are left out (see Redact), and a secret is written as its hash. Its JSON names the type, so that a plan file
// gives back what was written: {"size":1073741824}.
type Value struct{ v any }

// Word is a text of a small set that is shown without quotes, such as the power state on.
type Word string

// present is the value of a block that has no attributes set.
type present struct{}

// valueTypes are the types that a Value holds, by their name in JSON.
var valueTypes = map[string]reflect.Type{
	"text":      reflect.TypeFor[string](),
	"word":      reflect.TypeFor[Word](),
	"bool":      reflect.TypeFor[bool](),
	"number":    reflect.TypeFor[int](),
	"size":      reflect.TypeFor[Size](),
	"duration":  reflect.TypeFor[Duration](),
	"address":   addrType,
	"secret":    secretType,
	"texts":     reflect.TypeFor[[]string](),
	"addresses": reflect.TypeFor[[]Addr](),
	"map":       reflect.TypeFor[map[string]string](),
	"block":     reflect.TypeFor[present](),
}

// valueNames is valueTypes the other way round.
var valueNames = func() map[reflect.Type]string {
	names := make(map[reflect.Type]string, len(valueTypes))
	for name, t := range valueTypes {
		names[t] = name
	}
	return names
}()

// ValueOf makes a Value of what a Field or Change holds: nil, a value of one of the types of fields, or a pointer to a
// block's struct, of which only that it is there is kept. Another type is a programmer's mistake and panics.
func ValueOf(v any) Value {
	switch v := v.(type) {
	case nil:
		return Value{}
	case string:
		return Value{redactText(v)}
	}
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct {
		return Value{present{}}
	}
	if valueNames[t] == "" {
		panic(fmt.Sprintf("resource: no field has the type %T", v))
	}
	return Value{v}
}

// IsZero tells whether the field is not set.
func (v Value) IsZero() bool { return v.v == nil }

// IsSecret tells whether the value is one that must not be shown.
func (v Value) IsSecret() bool {
	_, ok := v.v.(Secret)
	return ok
}

// Text is the value of a field that is a text; ok is false for other types.
func (v Value) Text() (text string, ok bool) {
	text, ok = v.v.(string)
	return text, ok
}

// Equal tells whether the two are of one type and the same. Secrets are the same when their hashes are.
func (v Value) Equal(other Value) bool {
	s, ok := v.v.(Secret)
	if o, is := other.v.(Secret); ok && is {
		return s.hash == o.hash
	}
	return reflect.DeepEqual(v.v, other.v)
}

// String is Format of the value.
func (v Value) String() string { return Format(v.v) }

// Plain is the value in the types of JSON, for other programs: sizes are numbers of bytes, durations numbers of seconds,
// addresses texts; a secret is nil, like a field that is not set.
func (v Value) Plain() any {
	switch v := v.v.(type) {
	case Word:
		return string(v)
	case Size:
		return uint64(v)
	case Duration:
		return time.Duration(v).Seconds()
	case Addr:
		return v.String()
	case []Addr:
		texts := make([]string, len(v))
		for i, a := range v {
			texts[i] = a.String()
		}
		return texts
	case present:
		return map[string]any{}
	case Secret:
		return nil
	}
	return v.v
}

// MarshalJSON writes the value under the name of its type.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.v == nil {
		return []byte("null"), nil
	}
	return json.Marshal(map[string]any{valueNames[reflect.TypeOf(v.v)]: v.v})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (v *Value) UnmarshalJSON(data []byte) error {
	var typed map[string]json.RawMessage
	if err := json.Unmarshal(data, &typed); err != nil {
		return err
	}
	*v = Value{}
	if typed == nil {
		return nil
	}
	if len(typed) != 1 {
		return fmt.Errorf("a value has one type, not %d", len(typed))
	}
	for name, text := range typed {
		t, ok := valueTypes[name]
		if !ok {
			return fmt.Errorf("there is no type %q of values", name)
		}
		into := reflect.New(t)
		if err := DecodeStrict(text, into.Interface()); err != nil {
			return fmt.Errorf("a value of type %s: %w", name, err)
		}
		v.v = into.Elem().Interface()
	}
	return nil
}

// redactText leaves the login out of a text that may be a location.
func redactText(text string) string {
	if strings.HasPrefix(strings.TrimPrefix(text, "vagrant+"), "http") {
		return Redact(text)
	}
	return withoutPassword(text)
}
