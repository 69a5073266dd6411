-- +goose Up
ALTER TABLE observations ADD COLUMN score_class TEXT CHECK (score_class IN ('low', 'high'));
UPDATE observations SET score_class = CASE WHEN score < 50 THEN 'low' ELSE 'high' END;
CREATE INDEX observations_score_class ON observations (score_class);

-- +goose Down
DROP INDEX observations_score_class;
ALTER TABLE observations DROP COLUMN score_class;
