package sqlscan

import (
	"regexp"
	"slices"
	"strings"
)

// The dialects of other databases that a statement can be recognized by.
const (
	PostgreSQL = "PostgreSQL"
	MySQL      = "MySQL"
	SQLServer  = "SQL Server"
	Another    = "another database" // it may be one of several
)

// marks holds sequences of words that only one other database knows. They count in a
// statement that SQLite's parser rejected, outside its strings.
var marks = []struct {
	dialect string
	words   *regexp.Regexp
}{
	{PostgreSQL, regexp.MustCompile(`^CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE|EXTENSION|TYPE|SCHEMA|SEQUENCE|DOMAIN|MATERIALIZED|POLICY|ROLE|AGGREGATE)\b|` +
		`^(?:CREATE|DROP) (?:UNIQUE )?INDEX CONCURRENTLY\b|^(?:ALTER|DROP) (?:TYPE|EXTENSION|SEQUENCE|FUNCTION|SCHEMA|MATERIALIZED|ROLE|DOMAIN|POLICY)\b|` +
		`^COMMENT ON\b|^CREATE .*TRIGGER .*\bEXECUTE (?:FUNCTION|PROCEDURE)\b|^DO (?:\$|LANGUAGE)|\bLANGUAGE (?:PLPGSQL|SQL)\b|\$[A-Z_]*\$|\S ::[A-Z]|\bUSING (?:GIN|GIST|BTREE|BRIN|HASH)\b|` +
		`^ALTER TABLE .*\bALTER (?:COLUMN )?\S+ (?:SET DATA )?TYPE\b|^ALTER TABLE .*\bALTER COLUMN \S+ (?:SET|DROP) DEFAULT\b|` +
		`^ALTER TABLE ONLY\b|^DELETE FROM \S+ (?:AS \S+ )?USING\b|\bGENERATED (?:ALWAYS|BY DEFAULT) AS IDENTITY\b|^SET SEARCH_PATH\b|` +
		`\bINTERVAL STRING|\bARRAY \[|^COPY \S+ .*\bFROM STDIN|^CLUSTER\b|^(?:REINDEX|VACUUM) (?:\(|TABLE|FULL|ANALYZE|VERBOSE|CONCURRENTLY)`)},
	{MySQL, regexp.MustCompile(`\bENGINE = |\bAUTO_INCREMENT\b|^ALTER TABLE .*\b(?:MODIFY|CHANGE) (?:COLUMN )?\S+ \S+|\bUNSIGNED\b|` +
		`\b(?:DEFAULT )?(?:CHARSET|CHARACTER SET)\b|\bON DUPLICATE KEY\b|^(?:UN)?LOCK TABLES\b|^DELIMITER\b|^SET NAMES\b|^INSERT IGNORE\b|` +
		`^ALTER TABLE .*\bADD (?:UNIQUE )?(?:INDEX|KEY)\b|\bON UPDATE CURRENT_TIMESTAMP\b|^DROP INDEX \S+ ON\b|^USE \S+$|` +
		`[(,] (?:UNIQUE |FULLTEXT )?KEY \S+ \(|^UPDATE \S+ (?:AS \S+ |\S+ )?(?:INNER |LEFT )?JOIN\b|^ALTER TABLE .*\bENGINE\b|^OPTIMIZE TABLE\b`)},
	{Another, regexp.MustCompile(`^(?:CREATE|DROP|ALTER) (?:DATABASE|USER)\b|^(?:GRANT|REVOKE|TRUNCATE|SHOW)\b|^SET \S+ (?:= |TO )`)},
	{SQLServer, regexp.MustCompile(`\bIDENTITY \( |\bNVARCHAR \( MAX|^GO$|\bDBO \. |^EXEC(?:UTE)? SP_|^DECLARE @|^BEGIN TRAN\b|^IF (?:NOT )?EXISTS \(|\bNONCLUSTERED\b`)},
}

// slips holds words that other databases know in an ALTER TABLE and that get into
// statements for SQLite by mistake.
var slips = regexp.MustCompile(`^ALTER TABLE .*\b(?:ADD|DROP) (?:COLUMN |CONSTRAINT )?IF (?:NOT )?EXISTS\b|^ALTER TABLE .*\bADD (?:CONSTRAINT \S+ )?(?:PRIMARY|FOREIGN) KEY\b`)

// maxMarked limits how much of a statement is examined.
const maxMarked = 4000

// dialect returns the database that a rejected statement is for, or ""; slip reports that
// it may just as well be a mistake.
func dialect(w []word) (name string, slip bool) {
	line := markedLine(w)
	i := slices.IndexFunc(marks, func(m struct {
		dialect string
		words   *regexp.Regexp
	}) bool {
		return m.words.MatchString(line)
	})
	switch {
	case i >= 0:
		return marks[i].dialect, false
	case slips.MatchString(line):
		return Another, true
	}
	return "", false
}

// markedLine returns a statement with one space between its words, and STRING in place of
// each string, so that quoted text does not count.
func markedLine(w []word) string {
	var b strings.Builder
	for i, x := range w {
		if b.Len() > maxMarked {
			break
		}
		if i > 0 && !(x.upper != "" && x.upper[0] == ':' && w[i-1].upper == ":") {
			b.WriteByte(' ')
		}
		if x.quoted == '\'' {
			b.WriteString("STRING")
			continue
		}
		b.WriteString(strings.ReplaceAll(strings.ToUpper(x.text), " ", "_"))
	}
	return b.String()
}
