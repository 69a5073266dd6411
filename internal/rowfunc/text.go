package rowfunc

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf16"

	"github.com/chunkfill/chunkfill/internal/sqlite"
)

var wholeTexts = sqlite.WholeTexts()

// escaped begins a text that is passed to older drivers in hexadecimal, because it contains
// a NUL or begins the same way: so no text can be mistaken for another. An empty blob, on
// which those drivers panic, is this and a letter.
const (
	escaped   = "\x01"
	emptyBlob = escaped + "x"
)

// Arguments returns the SQL of the arguments that the functions are given for a row;
// columns are quoted.
func Arguments(columns []string) string {
	if wholeTexts {
		return strings.Join(columns, ", ")
	}
	escapes := make([]string, len(columns))
	for i, c := range columns {
		escapes[i] = escape(c)
	}
	return strings.Join(escapes, ", ")
}

// escape returns the SQL of a value in a form that survives an older driver. In hexadecimal
// a text is as the database stores it, so an example of one letter precedes it.
func escape(column string) string {
	return fmt.Sprintf("CASE WHEN typeof(%[1]s) = 'text' AND (instr(%[1]s, char(0)) OR substr(%[1]s, 1, 1) = char(1)) "+
		"THEN char(1) || hex('a') || ':' || hex(%[1]s) "+
		"WHEN typeof(%[1]s) = 'blob' AND length(%[1]s) = 0 THEN char(1) || 'x' ELSE %[1]s END", column)
}

// wrapped matches what escape makes of a column.
var wrapped = regexp.MustCompile(strings.ReplaceAll(regexp.QuoteMeta(escape("column")), "column", `("(?:[^"]|"")*"|\w+)`))

// Plain returns an expression as it would be with a driver that passes values unchanged:
// the identity of a job does not depend on its driver.
func Plain(expr string) string {
	if wholeTexts {
		return expr
	}
	return wrapped.ReplaceAllString(expr, "$1")
}

// restore undoes escape in place.
func restore(args []sqlite.Value) (err error) {
	if wholeTexts {
		return nil
	}
	for i, a := range args {
		text, ok := a.(string)
		switch {
		case !ok || !strings.HasPrefix(text, escaped):
		case text == emptyBlob:
			args[i] = []byte{}
		default:
			if args[i], err = unescape(text); err != nil {
				return err
			}
		}
	}
	return nil
}

func unescape(text string) (string, error) {
	letter, digits, _ := strings.Cut(strings.TrimPrefix(text, escaped), ":")
	raw, err := hex.DecodeString(digits)
	if err != nil {
		return "", fmt.Errorf("a text that was not handed over in whole: %w", err)
	}
	switch letter {
	case "6100":
		return fromUTF16(raw, binary.LittleEndian), nil
	case "0061":
		return fromUTF16(raw, binary.BigEndian), nil
	}
	return string(raw), nil
}

func fromUTF16(raw []byte, order binary.ByteOrder) string {
	units := make([]uint16, len(raw)/2)
	for i := range units {
		units[i] = order.Uint16(raw[2*i:])
	}
	return string(utf16.Decode(units))
}
