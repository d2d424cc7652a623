-- The current definition where it has rows of this ROI, otherwise the newest that has.
SELECT kept.version
FROM stored.$relation AS kept LEFT JOIN current_versions AS chosen ON chosen.kind = '$relation' AND chosen.version = kept.version
WHERE roi = ? GROUP BY ALL ORDER BY any_value(chosen.version) IS NULL, max(kept.commit_id) DESC, kept.version LIMIT 1
