-- News between front-ends (STORAGE 11, docs/design/news.md). Not used on SQLite, whose data version says the same.

-- statement: NewsInsert (front_end, news_number, changed: octets, told_at)
INSERT INTO news (front_end, news_number, changed, told_at)
VALUES (:front_end, :news_number, :changed, :told_at)

-- The bell, in the transaction of the row. Rung on PostgreSQL alone; elsewhere the short poll finds the row.
-- statement: NewsRing (front_end)
SELECT id FROM front_end WHERE id = :front_end
-- dialect: postgres
SELECT 1 FROM (SELECT pg_notify('dbmail_news', CAST(:front_end AS text))) AS rung

-- Its own rows, by its own clock. Not the newest, so that who was away long finds a number that is not the next.
-- statement: NewsForget (front_end, told_before, last_number)
DELETE FROM news WHERE front_end = :front_end AND told_at < :told_before AND news_number < :last_number

-- Above what is known of eight front-ends, and all that the others told lately. One statement, however many sessions.
-- statement: NewsSince (own, f1, n1, f2, n2, f3, n3, f4, n4, f5, n5, f6, n6, f7, n7, f8, n8, row_count)
SELECT front_end, news_number, changed, told_at FROM news
WHERE front_end <> :own
  AND ((front_end = :f1 AND news_number > :n1) OR (front_end = :f2 AND news_number > :n2)
    OR (front_end = :f3 AND news_number > :n3) OR (front_end = :f4 AND news_number > :n4)
    OR (front_end = :f5 AND news_number > :n5) OR (front_end = :f6 AND news_number > :n6)
    OR (front_end = :f7 AND news_number > :n7) OR (front_end = :f8 AND news_number > :n8)
    OR front_end NOT IN (:f1, :f2, :f3, :f4, :f5, :f6, :f7, :f8))
ORDER BY front_end, news_number
FETCH FIRST :row_count ROWS ONLY

-- statement: FrontEndsAlive (own, now)
SELECT count(*) FROM front_end WHERE id <> :own AND lease_end > :now
